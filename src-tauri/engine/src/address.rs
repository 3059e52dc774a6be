//! Addresses as they are shown and stored: what may be a secret in them is left out.

use sha2::{Digest as _, Sha256};

/// Without what stands before the `@`, and without the values of the query, which often are keys.
/// Also of a piece of text with an address in it: from the first `?` on nothing but names is kept.
pub fn without_secrets(text: &str) -> String {
    let text = without_password(text);
    let Some((address, query)) = text.split_once('?') else { return text };
    let end = query.chars().next_back().filter(|last| matches!(last, '"' | '\''));
    let query = end.and_then(|end| query.strip_suffix(end)).unwrap_or(query);
    let masked: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some((name, _)) => format!("{name}=…"),
            None if part.is_empty() => String::new(),
            None => "…".into(),
        })
        .collect();
    let end = end.map(String::from).unwrap_or_default();
    format!("{address}?{}{end}", masked.join("&"))
}

/// The same for the same address only, and without its secrets: a sum of the whole stands for them.
pub fn told_apart(address: &str) -> String {
    let shown = without_secrets(address);
    if shown == address {
        return shown;
    }
    let sum = Sha256::digest(address);
    sum.iter().take(8).fold(format!("{shown} "), |text, byte| format!("{text}{byte:02x}"))
}

fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#', '"', '\'', ' ', '\n']).unwrap_or(rest.len());
    let (address, after) = rest.split_at(end);
    let shown = match address.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => address.to_owned(),
    };
    format!("{scheme}://{shown}{}", without_password(after))
}

#[cfg(test)]
mod tests {
    use super::{told_apart, without_secrets};

    #[test]
    fn addresses_that_look_the_same_are_told_apart_without_their_secrets() {
        let (one, other) =
            (told_apart("http://a:1/x?token=sk-1"), told_apart("http://a:1/x?token=sk-2"));
        assert_ne!(one, other);
        assert_eq!(one, told_apart("http://a:1/x?token=sk-1"));
        assert!(one.starts_with("http://a:1/x?token=… ") && !one.contains("sk-1"), "{one}");
        assert_eq!(told_apart("http://a:1/x"), "http://a:1/x");
    }

    #[test]
    fn values_of_the_query_are_left_out() {
        for (whole, shown) in [
            ("http://127.0.0.1:1/x?token=sk-abc", "http://127.0.0.1:1/x?token=…"),
            ("http://h/x?a=1&token=s=k&b=", "http://h/x?a=…&token=…&b=…"),
            ("http://h/x?sk-abc", "http://h/x?…"),
            ("http://h/x?next=http://me:pw@h/?key=sk", "http://h/x?next=…"),
            ("\"127.0.0.1:1/x?token=sk'\\\"abc\"", "\"127.0.0.1:1/x?token=…\""),
            ("http://me:pw@h/x", "http://…@h/x"),
            ("http://h/x?", "http://h/x?"),
            ("http://127.0.0.1:11434/api/tags", "http://127.0.0.1:11434/api/tags"),
        ] {
            assert_eq!(without_secrets(whole), shown);
        }
    }
}
