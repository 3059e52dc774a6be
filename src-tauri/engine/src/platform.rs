//! What differs between operating systems.

use doctor::Listener;

pub fn listener(_port: u16) -> Listener {
    Listener::NotAsked
}

pub fn memory() -> doctor::HostSeen {
    doctor::HostSeen {
        memory_bytes: 1,
        available_bytes: 1,
        pressure: 1,
        swap_total_bytes: 0,
        swap_used_bytes: 0,
        ledger: None,
    }
}

pub fn data_directory() -> std::path::PathBuf {
    "homeostat-data".into()
}

pub fn config_file() -> std::path::PathBuf {
    "homeostat.toml".into()
}
