//! What stands behind the `?` of a request, and percent-encoding (RFC 3986). No locks.

/// Names and their values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// `a=1&b=x%20y`; none if that is no text.
    pub(super) fn read(text: &str) -> Option<Query> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name, true)?, decoded(value, true)?))
        };
        pairs.map(pair).collect::<Option<_>>().map(Query)
    }

    /// The first value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A name that stands there twice, if one does.
    pub(super) fn twice(&self) -> Option<&str> {
        let names = || self.0.iter().map(|(name, _)| name.as_str());
        let mut later = (1..).zip(names());
        later.find_map(|(next, name)| names().skip(next).any(|other| other == name).then_some(name))
    }

    /// A name that is none of these, if there is one.
    pub(super) fn other_than(&self, names: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !names.contains(name))
    }
}

/// Text without percent signs, and in a query with blanks for plus signs; none if that is no text.
pub(super) fn decoded(text: &str, in_query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if in_query => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_browsers_write_it() {
        let query = Query::read("path=%2Fa+b%26c&most=5&flag&regex=.*%2Fwal%2F.*").unwrap();
        for (name, value) in
            [("path", "/a b&c"), ("most", "5"), ("flag", ""), ("regex", ".*/wal/.*")]
        {
            assert_eq!(query.get(name), Some(value));
        }
        assert_eq!(query.get("none"), None);
        assert_eq!(query.other_than(&["path", "most", "flag"]), Some("regex"));
        assert_eq!(decoded("a+b%20", false).as_deref(), Some("a+b "));
        assert_eq!(query.twice(), None);
        assert_eq!(Query::read("a=1&b=2&%61=1").unwrap().twice(), Some("a"));
        for wrong in ["%", "%4", "%g0", "%ff"] {
            assert_eq!(decoded(wrong, true), None, "{wrong}");
        }
    }
}
