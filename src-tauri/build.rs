//! Names the window's commands, so that each needs a permission, and embeds what Tauri needs.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let commands = tauri_build::AppManifest::new().commands(&[
        "snapshot",
        "act",
        "incidents",
        "incident",
        "audit",
        "autostart",
        "set_autostart",
    ]);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands))?;
    Ok(())
}
