//! The arguments of one request, as the parameters of a method or as one struct.

use super::check::outline;
use super::command::{Command, Takes};
use super::refusal::{ARGUMENTS, Refusal};
use super::shape::Others;
use super::value::{Argument, Expected};
use crate::Error;
use bulkhead_json::{Cursor, Kind, Raw, RawString};
use bulkhead_protocol::Json;

/// Arguments that were found, each as its text; `N` is how many the method takes.
#[derive(Debug)]
pub struct Arguments<'a, const N: usize> {
    command: &'a Command,
    texts: [Option<&'a str>; N],
}

impl<'a, const N: usize> Arguments<'a, N> {
    /// Finds the arguments of `command`.
    ///
    /// # Errors
    /// `bad_request` where something else was given, where one stands there twice, where there is one that the command
    /// has not, and where one is missing.
    #[inline]
    pub fn find(command: &'a Command, args: &'a Json) -> Result<Arguments<'a, N>, Error> {
        let mut texts = [None; N];
        if find(command, args.as_str(), &mut texts).is_none() {
            return Err(refusal(command, args));
        }
        Ok(Arguments { command, texts })
    }

    /// Reads the argument at this place, which has to be there.
    ///
    /// # Errors
    /// `bad_request` where its value does not fit.
    #[inline]
    pub fn required<T: Argument<How>, How>(&self, at: usize) -> Result<T, Error> {
        // `find` has refused arguments without it.
        read(self.command, at, self.texts[at].unwrap_or("null"))
    }

    /// Reads the argument at this place, if it is there.
    ///
    /// # Errors
    /// As [`Arguments::required`].
    #[inline]
    pub fn or_else<T: Argument<How>, How>(&self, at: usize, default: impl FnOnce() -> T) -> Result<T, Error> {
        self.texts[at].map_or_else(|| Ok(default()), |text| read(self.command, at, text))
    }
}

/// Reads all arguments as one struct.
///
/// # Errors
/// `bad_request` where they do not fit.
pub fn whole<T: Argument<How>, How>(command: &Command, args: &Json) -> Result<T, Error> {
    let Takes::Whole(expected) = &command.takes else { unreachable!("the macro knows what the command takes") };
    let read = || expected.read(args.as_str()).map_err(|refusal| refusal.error(ARGUMENTS));
    T::as_sent(args).map_or_else(read, Ok)
}

fn read<T: Argument<How>, How>(command: &Command, at: usize, text: &str) -> Result<T, Error> {
    let (name, expected) = parameter(command, at);
    expected.read(text).map_err(|refusal| refusal.inside(name).error(ARGUMENTS))
}

fn parameter(command: &Command, at: usize) -> (&'static str, &Expected) {
    let Takes::Parameters(parameters) = &command.takes else { unreachable!("the macro knows what the command takes") };
    (parameters[at].name, &parameters[at].expected)
}

/// Finds each argument's text; `None` where something is wrong.
pub(super) fn find<'a>(command: &Command, args: &'a str, texts: &mut [Option<&'a str>]) -> Option<()> {
    let Takes::Parameters(parameters) = &command.takes else { return None };
    let mut cursor = Cursor::new(args);
    cursor.take(b'{')?;
    // Most callers send them in the order in which they are declared.
    let mut next = 0;
    if cursor.peek()? != b'}' {
        loop {
            let name = cursor.string()?;
            let is_it = |known: &str| match name {
                RawString::Plain(name) => known == name,
                RawString::Escaped(_) => name.unescaped().is_some_and(|name| known == name),
            };
            let at = match parameters.get(next) {
                Some(parameter) if is_it(parameter.name) => next,
                _ => parameters.iter().position(|parameter| is_it(parameter.name))?,
            };
            next = at + 1;
            cursor.take(b':')?;
            if texts[at].replace(cursor.value()?).is_some() {
                return None;
            }
            if cursor.take(b',').is_none() {
                break;
            }
        }
    }
    cursor.take(b'}')?;
    parameters.iter().zip(texts).all(|(parameter, text)| !parameter.is_required || text.is_some()).then_some(())
}

/// Why arguments that cannot be found are refused.
#[cold]
pub(super) fn refusal(command: &Command, args: &Json) -> Error {
    let Takes::Parameters(parameters) = &command.takes else { unreachable!("the macro knows what the command takes") };
    let value = Raw::new(args.as_str());
    let refusal = if value.kind() == Kind::Object {
        let expected = |at: usize| parameters[at].expected.expected();
        outline(parameters, &Others::Refused, value, expected).err()
    } else {
        Some(Refusal::wrong("an object", value))
    };
    match refusal {
        Some(refusal) => refusal.error(ARGUMENTS),
        None => Error::failed("the arguments of a command were refused without a reason, which is a fault of the SDK"),
    }
}
