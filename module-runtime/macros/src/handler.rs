//! One method with an attribute of the macro: what it handles, and whether it can.

use crate::attributes::{CommandOptions, ExampleOptions, pattern};
use crate::documentation::first_paragraph;
use crate::faults::Faults;
use crate::parameters::Parameters;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Ident, ImplItemFn, LitStr, ReturnType, Safety, Signature};

/// A method that handles something.
pub(crate) struct Handler {
    pub(crate) role: Role,
    pub(crate) ident: Ident,
    /// Its doc comment.
    pub(crate) about: String,
    pub(crate) parameters: Parameters,
    pub(crate) output: ReturnType,
    pub(crate) examples: Vec<ExampleOptions>,
}

/// What a method handles.
pub(crate) enum Role {
    Command(CommandOptions),
    Query,
    Mutation,
    Event(LitStr),
    Init,
    Shutdown,
    Barrier,
}

const ROLES: [&str; 7] = ["command", "query", "mutation", "event", "init", "shutdown", "barrier"];

impl Handler {
    /// Reads a method, and removes the macro's attributes from it; `None` of one that handles nothing.
    pub(crate) fn take(method: &mut ImplItemFn, faults: &mut Faults) -> Option<Handler> {
        let about = first_paragraph(&method.attrs);
        let (own, others) = std::mem::take(&mut method.attrs).into_iter().partition(is_own);
        method.attrs = others;
        let (examples, roles): (Vec<Attribute>, Vec<Attribute>) =
            Vec::into_iter(own).partition(|attribute| attribute.path().is_ident("example"));
        if let Some(second) = roles.get(1) {
            let sentence = format!("expected one of {} on a method, found a second", list_of_roles());
            faults.add(Error::new(second.span(), sentence));
        }
        let Some(attribute) = roles.first() else {
            let sentence = "expected `#[example]` on a method with `#[command]`";
            examples.iter().for_each(|example| faults.add(Error::new(example.span(), sentence)));
            return None;
        };
        let role = faults.note(Role::read(attribute));
        let parameters = Parameters::take(&mut method.sig, faults);
        faults.note(check(&method.sig));
        let role = role?;
        let examples = match &role {
            Role::Command(_) => examples.iter().filter_map(|example| faults.note(example.parse_args())).collect(),
            _ => {
                let sentence = "expected `#[example]` on a method with `#[command]`";
                examples.iter().for_each(|example| faults.add(Error::new(example.span(), sentence)));
                Vec::new()
            }
        };
        let (ident, output) = (method.sig.ident.clone(), method.sig.output.clone());
        Some(Handler { role, ident, about, parameters, output, examples })
    }
}

fn is_own(attribute: &Attribute) -> bool {
    attribute.path().get_ident().is_some_and(|ident| ident == "example" || ROLES.iter().any(|role| ident == role))
}

fn list_of_roles() -> String {
    ROLES.map(|role| format!("`#[{role}]`")).join(", ")
}

impl Role {
    fn read(attribute: &Attribute) -> syn::Result<Role> {
        let path = attribute.path();
        if path.is_ident("command") {
            return CommandOptions::read(attribute).map(Role::Command);
        }
        if path.is_ident("event") {
            return pattern(attribute).map(Role::Event);
        }
        let name = path.get_ident().map(ToString::to_string).unwrap_or_default();
        if attribute.meta.require_path_only().is_err() {
            return Err(Error::new(attribute.span(), format!("expected `#[{name}]` without options")));
        }
        Ok(match name.as_str() {
            "query" => Role::Query,
            "mutation" => Role::Mutation,
            "init" => Role::Init,
            "shutdown" => Role::Shutdown,
            _ => Role::Barrier,
        })
    }
}

/// Whether the SDK can call it.
fn check(signature: &Signature) -> syn::Result<()> {
    if let Some(asyncness) = &signature.asyncness {
        let sentence = "expected a plain function: handlers run one at a time, and there is no executor";
        return Err(Error::new(asyncness.span(), sentence));
    }
    if let Safety::Unsafe(unsafety) = &signature.safety {
        return Err(Error::new(unsafety.span(), "expected a safe function, as anyone may send a request"));
    }
    if !signature.generics.params.is_empty() {
        let sentence = "expected no parameters of types or lifetimes, as what a handler takes is described once";
        return Err(Error::new(signature.generics.span(), sentence));
    }
    Ok(())
}
