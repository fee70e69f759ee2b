//! What the scripts of the shells have beside what is made from the definitions of the command line: they ask
//! `bulkhead __complete` first, and where it has nothing to say go on as they are. After the name of a program beside
//! `bulkhead`, its own completions are asked.

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
    _bulkhead_program "$@" || _bulkhead "$@"
}

# What follows the name of a program beside bulkhead is completed by the completions of that program.
_bulkhead_program() {
    local at=1 name
    while [[ "${COMP_WORDS[at]}" == --socket* ]]; do
        # The line is divided at = as well.
        if [[ "${COMP_WORDS[at]}" == --socket=* ]]; then
            at=$((at + 1))
        elif [[ "${COMP_WORDS[at + 1]}" == "=" ]]; then
            at=$((at + 3))
        else
            at=$((at + 2))
        fi
    done
    name="bulkhead-${COMP_WORDS[at]}"
    if (( at >= COMP_CWORD )) || ! type -P "${name}" >/dev/null; then
        return 1
    fi
    if ! complete -p "${name}" >/dev/null 2>&1 && declare -F _completion_loader >/dev/null; then
        _completion_loader "${name}" >/dev/null 2>&1
    fi
    local pattern=' -F ([^ ]+) '
    if ! [[ "$(complete -p "${name}" 2>/dev/null)" =~ ${pattern} ]]; then
        return 1
    fi
    COMP_WORDS=("${name}" "${COMP_WORDS[@]:at + 1}")
    COMP_CWORD=$((COMP_CWORD - at))
    "${BASH_REMATCH[1]}" "${name}" "$2" "$3"
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
    _bulkhead__program || _bulkhead__static "$@"
}

# What follows the name of a program beside bulkhead is completed by the completions of that program.
_bulkhead__program() {
    local at=2
    while [[ "${words[at]}" == --socket* ]]; do
        if [[ "${words[at]}" == --socket=* ]]; then
            at=$((at + 1))
        else
            at=$((at + 2))
        fi
    done
    local name="bulkhead-${words[at]}"
    if (( at >= CURRENT )) || [[ -z "${_comps[$name]}" ]]; then
        return 1
    fi
    words=("$name" "${(@)words[at + 1,-1]}")
    CURRENT=$((CURRENT - at + 1))
    "${_comps[$name]}"
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

# What follows the name of a program beside bulkhead is completed by the completions of that program.
function __fish_bulkhead_program
    set -l line (commandline -opc)
    set -e line[1]
    while set -q line[1]; and string match -q -- '--socket*' $line[1]
        string match -q -- '--socket=*' $line[1]; or set -e line[1]
        set -e line[1]
    end
    set -q line[1]; or return 1
    type -q -- bulkhead-$line[1]; or return 1
    set -l written (commandline -ct)
    set -l before (string escape -- bulkhead-$line[1] $line[2..])
    set -g __fish_bulkhead_found (complete -C "$before $written")
    and test -n "$__fish_bulkhead_found"
end

complete -c bulkhead -n __fish_bulkhead_program -f -a '$__fish_bulkhead_found'
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
