//! What the scripts of the shells have beside what is made from the definitions of the command line: they ask
//! `bulkhead __complete` first, and where it has nothing to say go on as they are.

use clap_complete::Shell;

const BASH: &str = r#"
# Names of modules, commands and arguments come from the daemon, if one runs.
_bulkhead_live() {
    local found
    if found="$("$1" __complete bash "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)"; then
        COMPREPLY=()
        if [[ -n "${found}" ]]; then
            local IFS=$'\n'
            COMPREPLY=(${found})
            if [[ "${found}" == *= ]]; then
                compopt -o nospace 2>/dev/null
            fi
        fi
        return 0
    fi
    _bulkhead "$@"
}

complete -F _bulkhead_live -o bashdefault -o default bulkhead
"#;

/// The function that is made from the definitions has the name that zsh calls.
const ZSH_STATIC: (&str, &str) = ("\n_bulkhead() {\n", "\n_bulkhead__static() {\n");

/// What ends the script.
const ZSH_END: &str = "\nif [ \"$funcstack[1]\" = \"_bulkhead\" ]; then\n";

const ZSH: &str = r#"
# Names of modules, commands and arguments come from the daemon, if one runs.
_bulkhead() {
    local found
    if found="$("${words[1]}" __complete zsh "${(@)words[1,CURRENT]}" 2>/dev/null)"; then
        local -a candidates
        candidates=(${(f)found})
        if [[ "$found" == *= ]]; then
            compadd -S '' -a candidates
        else
            compadd -a candidates
        fi
        return
    fi
    _bulkhead__static "$@"
}
"#;

const FISH: &str = r#"
# Names of modules, commands and arguments come from the daemon, if one runs.
function __fish_bulkhead_live
    set -l written (commandline -ct)
    set -q written[1]; or set written ''
    set -l line (commandline -opc) $written
    set -g __fish_bulkhead_found (command $line[1] __complete fish $line 2>/dev/null)
    and test -n "$__fish_bulkhead_found"
end

complete -c bulkhead -n __fish_bulkhead_live -f -a '$__fish_bulkhead_found'
"#;

/// A script that also offers what the daemon knows; one of another shell as it is.
///
/// # Errors
/// When the script has not the form that is known.
pub(crate) fn with_live(shell: Shell, script: String) -> Result<String, String> {
    match shell {
        Shell::Bash => Ok(script + BASH),
        Shell::Fish => Ok(script + FISH),
        Shell::Zsh => {
            let (before, after) = ZSH_STATIC;
            let counts = (script.matches(before).count(), script.matches(ZSH_END).count());
            if counts != (1, 1) {
                return Err(format!("the script for zsh: expected one function and one end, found {counts:?}"));
            }
            Ok(script.replace(before, after).replace(ZSH_END, &format!("{ZSH}{ZSH_END}")))
        }
        _ => Ok(script),
    }
}
