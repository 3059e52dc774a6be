//! Our variables for a container, in a compose file of ours beside its own, which stay as they are
//! (R30).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use doctor::Compose;
use serde_json::json;

/// How a file of ours is told by its name: the container's labels keep it.
const NAME: &str = ".homeostat-light.yml";

pub(crate) fn is_ours(file: &str) -> bool {
    file.ends_with(NAME)
}

/// Writes the file that is to follow the project's own; none where there is nothing to write. It
/// stays for as long as the container is so described: whoever stops and starts it needs it.
pub(crate) fn write(compose: &Compose, directory: &Path) -> io::Result<Option<PathBuf>> {
    if compose.light.is_empty() {
        return Ok(None);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let project = compose.project.as_deref().unwrap_or_default();
    let file = directory.join(format!("{}.{}{NAME}", plain(project), plain(&compose.service)));
    let new = file.with_extension("new");
    // What was left half written has whatever mode it has.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    written.write_all(content(compose).as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&new, &file)?;
    Ok(Some(file))
}

/// JSON is YAML as well, and needs no quoting of ours. Compose puts variables into the values, save
/// where the dollar is doubled (Compose's reference, interpolation).
fn content(compose: &Compose) -> String {
    let variables = compose.light.iter();
    let variables: serde_json::Map<_, _> =
        variables.map(|(name, value)| (name.clone(), json!(value.replace('$', "$$")))).collect();
    let mut services = serde_json::Map::new();
    services.insert(compose.service.clone(), json!({ "environment": variables }));
    json!({ "services": services }).to_string()
}

/// As a part of a file's name.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

    use std::os::unix::fs::PermissionsExt as _;

    use doctor::Compose;

    fn compose(light: &[(&str, &str)]) -> Compose {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Compose {
            files: vec!["/site/docker-compose.yml".into()],
            service: "we/b".into(),
            project: Some("site".into()),
            directory: None,
            env_file: None,
            light: light.iter().map(own).collect(),
        }
    }

    #[test]
    fn only_the_variables_are_written_and_only_for_us_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("light");
        assert_eq!(super::write(&compose(&[]), &place).unwrap(), None);
        assert!(!place.exists());
        for value in ["first", "a \"b\" $HOME: #"] {
            let file = super::write(&compose(&[("USE_ELK", value)]), &place).unwrap().unwrap();
            assert!(super::is_ours(&file.display().to_string()), "{file:?}");
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
            let told: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let value = value.replace('$', "$$");
            let expected =
                serde_json::json!({"services": {"we/b": {"environment": {"USE_ELK": value}}}});
            assert_eq!(told, expected);
            assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
        }
        assert!(!super::is_ours("/site/docker-compose.yml"));
    }
}
