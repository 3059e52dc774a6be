//! The shapes that the window relies on: its types are made from the engine's, and its recorded
//! snapshots are snapshots. `BLESS=1` writes the types anew.

use std::path::{Path, PathBuf};

use engine::audit::{Audit, FindingView, FixView, Kind, Severity};
use engine::view::{
    Cause, Incident, Intent, Look, Memory, MemoryGroup, Model, ModelTiming, NoticeView, Operation,
    OperationState, OperationStep, ServerWork, Snapshot, State, StoryLine, Summary, Takeover,
    Target, Why,
};
use ts_rs::{Config, TS};

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui")
}

fn one<T: TS>(config: &Config) -> String {
    let docs = T::docs().unwrap_or_default();
    format!("\n{docs}export {}\n", T::decl(config))
}

#[test]
fn the_windows_types_are_the_engines() {
    let config = Config::default();
    let mut types = String::from(
        "// Generated from src-tauri/engine/src/view.rs by ts-rs; do not edit by hand.\n",
    );
    for part in [
        one::<Snapshot>(&config),
        one::<Summary>(&config),
        one::<Target>(&config),
        one::<State>(&config),
        one::<Intent>(&config),
        one::<Cause>(&config),
        one::<Why>(&config),
        one::<Look>(&config),
        one::<Model>(&config),
        one::<Memory>(&config),
        one::<MemoryGroup>(&config),
        one::<ServerWork>(&config),
        one::<Incident>(&config),
        one::<StoryLine>(&config),
        one::<Operation>(&config),
        one::<OperationState>(&config),
        one::<OperationStep>(&config),
        one::<ModelTiming>(&config),
        one::<Takeover>(&config),
        one::<NoticeView>(&config),
        one::<Audit>(&config),
        one::<FindingView>(&config),
        one::<FixView>(&config),
        one::<Kind>(&config),
        one::<Severity>(&config),
        one::<serde_json::Value>(&config),
    ] {
        types.push_str(&part);
    }
    let file = ui().join("types.d.ts");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &types).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == types, "ui/types.d.ts is not what view.rs says; run this test with BLESS=1");
}

#[test]
fn the_recorded_audit_is_one() {
    let text = std::fs::read_to_string(ui().join("test/audit.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let audit: Audit = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&audit).unwrap(), value);
}

#[test]
fn every_recorded_snapshot_is_one() {
    let mut read = 0;
    for entry in std::fs::read_dir(ui().join("snapshots")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let snapshot: Snapshot = serde_json::from_value(value.clone())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(serde_json::to_value(&snapshot).unwrap(), value, "{}", path.display());
        read += 1;
    }
    assert!(read >= 10, "only {read} snapshots");
}
