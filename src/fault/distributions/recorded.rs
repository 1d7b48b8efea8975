//! Times by tables of quantiles, one for each method and size that was measured.

use std::fmt;
use std::str::FromStr;

use super::{Distribution, Form, Of, Shape, Table};
use crate::fault::suggest::closest;
use crate::fault::words::{ValueError, bytes, bytes_text};
use crate::ops::{Call, Method};

const PREFIX: &str = "recorded:";

pub(super) const FORM: Form = Form {
    prefix: PREFIX,
    form: "recorded:METHOD[.SIZE]:0=T,...,100=T;...",
    about: "by tables, one for each method (or several with +) and size; a method without one is not delayed",
    read,
};

/// More than anybody tells apart.
const MOST_CLASSES: usize = 200;

/// What is measured together: requests of a method and, where they move bytes, of about a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::fault) struct Class {
    pub(in crate::fault) method: Method,
    /// None for those of any.
    pub(in crate::fault) size: Option<u64>,
}

impl Class {
    /// That which requests of this method are in, by the one name that each request has.
    pub(in crate::fault) fn method(method: Method) -> Method {
        let call = method.calls().first();
        call.and_then(|call| own_method(*call)).unwrap_or(method)
    }

    /// Whether requests of that method are told apart by their size.
    pub(in crate::fault) fn has_sizes(method: Method) -> bool {
        let moves = [Call::Read, Call::Write, Call::CopyFrom, Call::CopyTo];
        moves.iter().any(|call| own_method(*call) == Some(Class::method(method)))
    }
}

/// The method by whose name a request is told.
pub(in crate::fault) fn own_method(call: Call) -> Option<Method> {
    call.methods().iter().next()
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) => write!(f, "{}.{}", self.method, bytes_text(size)),
            None => write!(f, "{}", self.method),
        }
    }
}

impl FromStr for Class {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Class, ValueError> {
        let (name, size) = text.split_once('.').map_or((text, None), |(n, s)| (n, Some(s)));
        let method = Method::from_name(name).ok_or_else(|| {
            let near = closest(name, Method::all().map(Method::name));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let name: String = name.chars().take(40).collect();
            ValueError(format!("no method {name:?}{hint}"))
        })?;
        let size = size.map(bytes).transpose();
        let size = size.map_err(|why| ValueError(format!("{name}.SIZE: {why}")))?;
        match size {
            Some(0) => Err(format!("{name}: a size of 0 is none").into()),
            Some(_) if !Class::has_sizes(method) => {
                Err(format!("{name} moves no bytes, so it has no size").into())
            }
            size => Ok(Class { method: Class::method(method), size }),
        }
    }
}

/// The times of some classes: of several methods and one size.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::fault) struct Part {
    pub(in crate::fault) classes: Vec<Class>,
    pub(in crate::fault) table: Table,
}

/// The times of all of them.
#[derive(Debug, PartialEq)]
pub(in crate::fault) struct Recorded(Vec<Part>);

impl Recorded {
    /// # Errors
    /// They do not go together; one clause.
    pub(in crate::fault) fn of(parts: Vec<Part>) -> Result<Recorded, ValueError> {
        let classes: Vec<_> = parts.iter().flat_map(|part| &part.classes).collect();
        if classes.len() > MOST_CLASSES {
            let n = classes.len();
            return Err(format!("it tells {n} classes apart; {MOST_CLASSES} are the most").into());
        }
        for (place, class) in classes.iter().enumerate() {
            let mut before = classes.iter().take(place).filter(|of| of.method == class.method);
            if before.clone().any(|of| of.size == class.size) {
                return Err(format!("{class} is there twice").into());
            }
            if before.any(|of| of.size.is_some() != class.size.is_some()) {
                return Err(format!("{} is there with and without a size", class.method).into());
            }
        }
        Ok(Recorded(parts))
    }

    /// As it is typed.
    pub(in crate::fault) fn text(&self) -> String {
        let part = |Part { classes, table }: &Part| {
            let names: Vec<_> = classes.iter().map(ToString::to_string).collect();
            format!("{}:{}", names.join("+"), table.text())
        };
        format!("{PREFIX}{}", self.0.iter().map(part).collect::<Vec<_>>().join(";"))
    }

    /// The one table that there is, if there is but one.
    pub(in crate::fault) fn only(&self) -> Option<&Table> {
        match &self.0[..] {
            [only] => Some(&only.table),
            _ => None,
        }
    }

    /// The table for such a request: of its method that of the nearest size.
    fn table(&self, of: Of) -> Option<&Table> {
        let method = own_method(of.call)?;
        let sizes = self.0.iter().flat_map(|Part { classes, table }| {
            let own = classes.iter().filter(move |class| class.method == method);
            own.map(move |class| (class.size.unwrap_or_default(), table))
        });
        sizes.min_by(|a, b| nearer(of.len, a.0, b.0)).map(|(_, table)| table)
    }
}

/// Which of two sizes a length is nearer to, as so many times; of two that are as near the larger.
pub(in crate::fault) fn nearer(len: u64, a: u64, b: u64) -> std::cmp::Ordering {
    let is_below = u128::from(len) * u128::from(len) < u128::from(a) * u128::from(b);
    if is_below { a.cmp(&b) } else { b.cmp(&a) }
}

impl Distribution for Recorded {
    fn at(&self, u: f64) -> f64 {
        self.0.iter().map(|part| part.table.at(u)).fold(0.0, f64::max)
    }

    fn of(&self, of: Of, u: f64) -> f64 {
        self.table(of).map_or(0.0, |table| table.at(u))
    }

    fn lacks(&self, call: Call) -> bool {
        self.table(Of { call, len: 0 }).is_none()
    }

    fn is_recorded(&self) -> bool {
        true
    }

    /// Also where reads are told from what else asks: those of cached files are to be met as reads.
    fn is_by_bytes(&self) -> bool {
        let read = own_method(Call::Read);
        let mut classes = self.0.iter().flat_map(|part| &part.classes);
        classes.any(|class| class.size.is_some() || Some(class.method) == read)
    }

    fn typed(&self) -> String {
        self.text()
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    let parts = text.split(';').map(part).collect::<Result<Vec<_>, _>>()?;
    Ok(Shape::Drawn(Box::new(Recorded::of(parts)?)))
}

fn part(text: &str) -> Result<Part, ValueError> {
    let (names, table) = text.split_once(':').ok_or_else(|| {
        ValueError(format!("write it as in {PREFIX}fsync:0=1ms,100=2s;write.4KiB:0=1ms,100=9ms"))
    })?;
    let classes = names.split('+').map(str::parse).collect::<Result<Vec<Class>, _>>()?;
    let table = Table::read(table).map_err(|why| ValueError(format!("{names}: {why}")))?;
    Ok(Part { classes, table })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str, call: Call, len: u64) -> f64 {
        let Ok(Shape::Drawn(by)) = read(text) else { panic!("{text}") };
        by.of(Of { call, len }, 0.5) / 1e6
    }

    #[test]
    fn each_request_has_the_times_of_its_method_and_of_the_nearest_size() {
        let text = "write.4KiB:0=1ms,100=1ms;write.64KiB:0=2ms,100=2ms;write.1MiB:0=3ms,100=3ms;\
                    fsync+rename:0=4ms,100=4ms;fdatasync:0=5ms,100=5ms";
        for (len, ms) in [
            (0, 1.0),
            (1, 1.0),
            (4096, 1.0),
            // Four times as much as the one, a quarter of the other.
            ((16 << 10) - 1, 1.0),
            (16 << 10, 2.0),
            ((256 << 10) - 1, 2.0),
            (256 << 10, 3.0),
            (u64::MAX, 3.0),
        ] {
            assert_eq!(asked(text, Call::Write, len), ms, "{len}");
        }
        for (call, ms) in [
            (Call::Fsync, 4.0),
            (Call::Rename, 4.0),
            (Call::Fdatasync, 5.0),
            (Call::Read, 0.0),
            (Call::CopyTo, 0.0),
        ] {
            assert_eq!(asked(text, call, 0), ms, "{call:?}");
        }
        // By either name of a method.
        assert_eq!(asked("write_buf.1MiB:0=3ms,100=3ms", Call::Write, 1), 3.0);
    }

    #[test]
    fn every_request_has_one_name() {
        for call in Call::all() {
            let method = own_method(call).unwrap();
            assert_eq!(Class::method(method), method, "{call:?}");
            assert_eq!(method.name(), call.name());
        }
    }

    #[test]
    fn no_more_classes_are_told_apart_than_anybody_measures() {
        let of = |n: u64| {
            let classes = (1..=n).map(|size| format!("read.{size}:0=1ms,100=1ms"));
            read(&classes.collect::<Vec<_>>().join(";"))
        };
        assert!(of(200).is_ok());
        assert!(of(201).unwrap_err().to_string().contains("200 are the most"));
    }
}
