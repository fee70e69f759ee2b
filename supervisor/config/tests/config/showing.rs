//! `config show`: every value in force and where it came from.

use crate::support::{RESEARCH_LOG, Tree};
use bulkhead_config::show;
use serde_json::Value;

fn tree() -> Tree {
    let tree = Tree::new();
    let file = "[host]\nmodules = ['modules']\nclients_max = 7\n[module.research-log.limits]\nqueue = 5\n";
    let manifest = RESEARCH_LOG.to_owned() + "\"odd key\" = { deep = [1, 2.5, true, \"\\u007f\\\"\"] }\n";
    tree.research_log().write("modules/research-log/module.toml", manifest).write("bulkhead.toml", file);
    tree
}

#[test]
fn it_prints_each_value_with_its_origin() {
    let text = show(&tree().load_host().unwrap(), false);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert_eq!(line("clients_max"), format!("{:<40} # bulkhead.toml:3", "clients_max = 7"));
    assert_eq!(line("queue ="), format!("{:<40} # bulkhead.toml:5", "queue = 5"));
    assert_eq!(
        line("delay_initial"),
        format!("{:<40} # modules/research-log/module.toml:7", "delay_initial = \"200ms\"")
    );
    assert_eq!(line("window ="), format!("{:<40} # default", "window = 64"));
    assert_eq!(line("memory_limit"), format!("{:<40} # default", "memory_limit = \"none\""));
    assert!(text.contains("\n[module.research-log.limits]\n"), "{text}");
}

#[test]
fn what_it_prints_is_toml_and_one_object_a_line_with_json() {
    let loaded = tree().load_host().unwrap();
    let table: toml::Table = show(&loaded, false).parse().unwrap();
    let config = &table["module"]["research-log"]["config"];
    assert_eq!(config["odd key"]["deep"][3].as_str(), Some("\u{7f}\""));
    assert_eq!(table["host"]["frame_bytes_max"].as_str(), Some("16MiB"));
    let text = show(&loaded, true);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let queue = rows.iter().find(|row| row["key"] == "limits.queue").unwrap();
    let expected = r#"{"key":"limits.queue","module":"research-log","origin":"bulkhead.toml:5","schema":1,"value":5}"#;
    assert_eq!(queue.to_string(), expected);
    assert_eq!(text.lines().count(), show(&loaded, false).lines().filter(|line| line.contains(" # ")).count());
}
