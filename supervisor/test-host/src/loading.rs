//! What is to run: the module under test, those beside it and the fakes, read by the rules of every host from files in
//! the private folder and from the folders that the test names.

use crate::cli::Options;
use crate::{made, overlay, relay, waits};
use bulkhead_config::{Environment, Flags, HostConfig, Loaded, ModuleConfig, Problem, Problems};
use bulkhead_protocol::ModuleName;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many fakes a test may have.
const FAKES_MAX: usize = 64;

/// What is to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) loaded: Loaded,
    /// The name of the module under test.
    pub(crate) under_test: String,
    pub(crate) fakes: Vec<Fake>,
}

/// A module that the test answers.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) name: String,
    /// Where its process connects to.
    pub(crate) socket: PathBuf,
}

/// Reads all of it.
///
/// # Errors
/// All faults, one a line.
pub(crate) fn plan(options: &Options, private: &Path) -> Result<Plan, String> {
    let cannot = |error: io::Error| format!("{}: {error}", private.display());
    let environment = Environment { trusted_users: owners(options), ..Environment::from_process() };
    let files = Files { private, environment: &environment };
    let fakes = files.write_fakes(options)?;
    let (name, folder) = match &options.dir {
        Some(dir) => {
            let module = ModuleConfig::load_in(dir, &environment).map_err(|problems| files.sentences(&problems))?;
            (module.name.to_string(), dir.clone())
        }
        None => (made::name(options), files.write_made(options)?),
    };
    if let Some(fake) = fakes.iter().find(|fake| fake.name == name) {
        return Err(format!("--fake {}: this is the module under test; a fake is another one", fake.name));
    }
    fs::write(files.overlay(), overlay::text(options, &name)?).map_err(cannot)?;
    let mut modules = vec![folder];
    modules.extend(options.with.iter().cloned());
    modules.extend((!fakes.is_empty()).then(|| files.fakes()));
    let flags = Flags {
        config: Some(files.overlay()),
        modules,
        state: Some(private.join("state")),
        socket: Some(options.listen.clone().unwrap_or_else(|| private.join("control.sock"))),
    };
    let loaded = HostConfig::load_in(flags, &environment).and_then(Loaded::whole);
    let mut loaded = loaded.map_err(|problems| files.sentences(&problems))?;
    files.check_with(options, &loaded)?;
    for module in &mut loaded.modules {
        // They are started once the test follows the events.
        module.autostart = false;
        if options.dir.is_none() && module.name.as_str() == name {
            module.folder = environment.current_dir.clone().ok_or("the current directory was deleted")?;
        }
    }
    if !options.real_waits {
        waits::shorten(&mut loaded.host, &mut loaded.modules);
    }
    loaded.host.log_level = options.log;
    Ok(Plan { loaded, under_test: name, fakes })
}

/// Who owns the way to what a test names or finds in its `$PATH`: in a test, these users' files may be run.
pub(crate) fn owners(options: &Options) -> Vec<u32> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let ends = options
        .dir
        .iter()
        .chain(&options.with)
        .filter_map(|path| std::path::absolute(path).ok())
        .chain(
            options.command.iter().filter(|word| word.contains('/')).filter_map(|word| std::path::absolute(word).ok()),
        )
        .chain(std::env::current_dir())
        .chain(std::env::current_exe())
        .chain(std::env::split_paths(&paths).filter(|folder| folder.is_absolute()));
    let mut owners: Vec<u32> = ends
        .flat_map(|end| end.ancestors().map(Path::to_owned).collect::<Vec<_>>())
        .filter_map(|path| Some(fs::metadata(path).ok()?.uid()))
        .chain(options.trusted_users.iter().copied())
        .collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// The files that are written for the host.
struct Files<'a> {
    private: &'a Path,
    environment: &'a Environment,
}

impl Files<'_> {
    fn overlay(&self) -> PathBuf {
        self.private.join("settings.toml")
    }

    fn fakes(&self) -> PathBuf {
        self.private.join("fakes")
    }

    fn write_made(&self, options: &Options) -> Result<PathBuf, String> {
        let mut command = options.command.clone();
        // A path counts from the test's current directory, and the manifest is in another folder.
        if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
            let absolute = std::path::absolute(&*program).map_err(|error| format!("{program}: {error}"))?;
            *program = absolute.to_string_lossy().into_owned();
        }
        let folder = self.private.join("module");
        self.write_manifest(&folder, &made::manifest(options, &command)?)?;
        Ok(folder)
    }

    fn write_fakes(&self, options: &Options) -> Result<Vec<Fake>, String> {
        if options.fakes.len() > FAKES_MAX {
            return Err(format!("--fake: expected at most {FAKES_MAX}, found {}", options.fakes.len()));
        }
        let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut fakes: Vec<Fake> = Vec::new();
        for name in &options.fakes {
            ModuleName::new(name).map_err(|error| format!("--fake: {error}"))?;
            if fakes.iter().any(|fake| fake.name == *name) {
                return Err(format!("--fake {name}: expected each name once, found it twice"));
            }
            let folder = self.fakes().join(name);
            let socket = self.private.join(format!("{name}.sock"));
            let words = [&*own.to_string_lossy(), relay::OPTION, &*socket.to_string_lossy()].map(toml::Value::from);
            let module = toml::Table::from_iter([
                ("name".to_owned(), toml::Value::from(&**name)),
                ("transport".to_owned(), "stdio".into()),
                ("command".to_owned(), words.to_vec().into()),
            ]);
            self.write_manifest(&folder, &format!("[module]\n{module}"))?;
            fakes.push(Fake { name: name.clone(), socket });
        }
        Ok(fakes)
    }

    fn write_manifest(&self, folder: &Path, text: &str) -> Result<(), String> {
        let path = folder.join("module.toml");
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// A folder without a module is probably a mistake.
    fn check_with(&self, options: &Options, loaded: &Loaded) -> Result<(), String> {
        for with in &options.with {
            let folder = std::path::absolute(with).map_err(|error| format!("{}: {error}", with.display()))?;
            if !loaded.modules.iter().any(|module| module.folder.starts_with(&folder)) {
                let expected = "expected a module.toml in it or in one of its folders";
                return Err(format!("--with {}: {expected}, found none", with.display()));
            }
        }
        Ok(())
    }

    /// The faults, one a line. The places of files that the test did not write say nothing to it.
    fn sentences(&self, problems: &Problems) -> String {
        let sentence = |problem: &Problem| match &problem.file {
            Some(file) if self.absolute(file) == self.overlay() => format!("--set or --config: {}", problem.message),
            Some(file) if self.absolute(file).starts_with(self.private) => problem.message.clone(),
            _ => problem.to_string(),
        };
        let mut lines: Vec<String> = problems.iter().map(sentence).collect();
        if lines.iter().any(|line| line.contains("requires")) {
            lines.push("a module that is required is one of --with DIR or --fake NAME".into());
        }
        lines.join("\n")
    }

    /// A path of a problem, which is short for one in the current directory.
    fn absolute(&self, file: &Path) -> PathBuf {
        self.environment.current_dir.as_ref().map_or_else(|| file.to_owned(), |folder| folder.join(file))
    }
}
