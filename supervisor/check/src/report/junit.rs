//! The report as JUnit XML, which CI systems show. XML has no place for some characters, so these are replaced.

use super::{PAGE, Report, push};
use crate::verdicts::Verdict;
use std::borrow::Cow;

impl Report {
    /// One suite, with a case for each rule.
    pub(crate) fn junit(&self) -> String {
        let (failed, skipped, all) = self.counts();
        let name = if self.module.is_empty() { &self.folder } else { &self.module };
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let seconds = self.took.as_secs_f64();
        let counts =
            format!("tests=\"{all}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{seconds:.3}\"");
        push(&mut text, format_args!("<testsuites {counts}>\n<testsuite name=\"{}\" {counts}>\n", escaped(name)));
        push(&mut text, format_args!("<properties><property name=\"seed\" value=\"{}\"/></properties>\n", self.seed));
        for (rule, verdict) in self.verdicts.all() {
            let place = format!("{PAGE}#{}", rule.place());
            push(
                &mut text,
                format_args!(
                    "<testcase classname=\"{}\" name=\"{}: {}\"",
                    escaped(name),
                    rule.name(),
                    escaped(rule.says())
                ),
            );
            match verdict {
                Verdict::Kept => text.push_str("/>\n"),
                Verdict::NotApplicable(reason) => {
                    push(&mut text, format_args!("><skipped message=\"{}\"/></testcase>\n", escaped(&reason)));
                }
                Verdict::Failed(faults) => {
                    push(&mut text, format_args!("><failure message=\"{}\">", escaped(&place)));
                    for fault in faults {
                        let lines =
                            format!("sent: {}\nexpected: {}\nfound: {}\n", fault.sent, fault.expected, fault.found);
                        text.push_str(&escaped(&lines));
                    }
                    text.push_str("</failure></testcase>\n");
                }
            }
        }
        push(&mut text, format_args!("<system-out>{}</system-out>\n", escaped(&self.verdicts.remarks.join("\n"))));
        text.push_str("</testsuite>\n</testsuites>\n");
        text
    }
}

/// The text as a part of XML 1.0, in an attribute as well.
fn escaped(text: &str) -> Cow<'_, str> {
    let has_place = |letter: char| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(|letter| has_place(letter) && !"<>&\"'\t\n\r".contains(letter)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // As they are, a reader would make spaces of them in an attribute.
            '\t' | '\n' | '\r' => push(&mut escaped, format_args!("&#{};", letter as u32)),
            letter if has_place(letter) => escaped.push(letter),
            _ => escaped.push('\u{fffd}'),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rule;
    use crate::verdicts::Verdicts;

    #[test]
    fn whatever_a_module_says_the_report_is_xml_and_says_the_same() {
        let said = "</failure>]]> & \"quotes\" 'more' <a b=\"c\">\n\ttab \u{0}\u{1b}[31m\u{ffff} \u{1F30A}";
        let mut verdicts = Verdicts::default();
        verdicts.fail(Rule::Order, said, "<&>", said);
        verdicts.leave_out(Rule::Event, said);
        verdicts.remarks.push(said.to_owned());
        let report = Report { module: said.to_owned(), verdicts, ..Report::default() };
        let xml = report.junit();
        let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
        let readable: String =
            said.chars().map(|c| if "\u{0}\u{1b}\u{ffff}".contains(c) { '\u{fffd}' } else { c }).collect();
        let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
        assert_eq!(suite.attribute("name"), Some(&*readable));
        let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
        assert_eq!(cases.len(), Rule::ALL.len());
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.text().unwrap(), format!("sent: {readable}\nexpected: <&>\nfound: {readable}\n"));
        assert_eq!(suite.attribute("failures"), Some("1"));
        let reason = document
            .descendants()
            .find(|node| node.has_tag_name("skipped") && node.attribute("message") == Some(&*readable));
        assert!(reason.is_some(), "{xml}");
    }
}
