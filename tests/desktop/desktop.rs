//! A screen, a session bus, and on it a panel and a notification daemon where the test wants them.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tests::{programs, wait_until};
use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt as _, EventMask};
use zbus::blocking::Connection;
use zbus::zvariant::OwnedValue;

use crate::SOON;

/// Ended with all its programs when it is dropped.
pub(crate) struct Desktop {
    directory: TempDir,
    display: String,
    bus: String,
    programs: Vec<Child>,
}

impl Desktop {
    /// With xfce4-panel, which shows tray icons, and dunst, which shows notifications.
    pub(crate) fn full() -> Result<Self> {
        let mut desktop = Self::with_bus(true)?;
        desktop.start("xfce4-panel", &["--disable-wm-check"])?;
        desktop.show_notifications()?;
        desktop.await_name("org.kde.StatusNotifierWatcher")?;
        Ok(desktop)
    }

    /// Starts dunst and waits for it.
    pub(crate) fn show_notifications(&mut self) -> Result<()> {
        self.start("dunst", &[])?;
        self.await_name("org.freedesktop.Notifications")
    }

    fn await_name(&self, name: &str) -> Result<()> {
        let bus = self.bus()?;
        let names = zbus::blocking::fdo::DBusProxy::new(&bus)?;
        let name = zbus::names::BusName::try_from(name)?;
        wait_until(&format!("{name} on the bus"), SOON, || {
            names.name_has_owner(name.clone()).is_ok_and(|owned| owned)
        });
        Ok(())
    }

    /// A screen and a bus on which nobody shows anything.
    pub(crate) fn bare() -> Result<Self> {
        Self::with_bus(false)
    }

    fn with_bus(services: bool) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("desktop-").tempdir()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700))?;
        let mut desktop =
            Self { directory, display: String::new(), bus: String::new(), programs: Vec::new() };
        let screen = ["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"];
        desktop.display = format!(":{}", desktop.start_and_read("Xvfb", &screen)?);
        let configuration = if services {
            "--session".to_owned()
        } else {
            // Without directories of services the bus starts nobody by itself.
            let file = desktop.directory.path().join("bus.conf");
            std::fs::write(&file, bus_configuration(desktop.directory.path()))?;
            format!("--config-file={}", file.display())
        };
        let arguments = [configuration.as_str(), "--nofork", "--print-address=1"];
        desktop.bus = desktop.start_and_read("dbus-daemon", &arguments)?;
        Ok(desktop)
    }

    /// For every program that shall find this desktop, and no other.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let home = self.directory.path().display().to_string();
        [
            ("DISPLAY", self.display.clone()),
            ("DBUS_SESSION_BUS_ADDRESS", self.bus.clone()),
            ("XDG_RUNTIME_DIR", home.clone()),
            ("XDG_CONFIG_HOME", format!("{home}/config")),
            ("XDG_CACHE_HOME", format!("{home}/cache")),
            ("XDG_DATA_HOME", format!("{home}/share")),
            ("WAYLAND_DISPLAY", String::new()),
            ("GDK_BACKEND", "x11".to_owned()),
            ("NO_AT_BRIDGE", "1".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    pub(crate) fn bus(&self) -> Result<Connection> {
        let bus = zbus::blocking::connection::Builder::address(self.bus.as_str())?;
        Ok(bus.method_timeout(Duration::from_secs(10)).build()?)
    }

    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment());
        command
    }

    /// The windows of that title that are on the screen.
    pub(crate) fn windows(&self, title: &str) -> Vec<String> {
        let pattern = format!("^{title}$");
        let search = ["search", "--onlyvisible", "--name", &pattern];
        // It ends with 1 when there is none.
        let output = self.command("xdotool").args(search).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// As its close button does (ICCCM, "Window Deletion").
    pub(crate) fn close(&self, window: &str) -> Result<()> {
        let window: u32 = window.parse()?;
        let (server, _) = x11rb::connect(Some(&self.display))?;
        let atom =
            |name: &[u8]| -> Result<u32> { Ok(server.intern_atom(false, name)?.reply()?.atom) };
        let delete = [atom(b"WM_DELETE_WINDOW")?, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, atom(b"WM_PROTOCOLS")?, delete);
        server.send_event(false, window, EventMask::NO_EVENT, message)?.check()?;
        Ok(())
    }

    /// The titles of all notifications that dunst shows or has shown (dunst(5), "DBUS").
    pub(crate) fn notifications(&self) -> Result<Vec<String>> {
        let bus = self.bus()?;
        let call = |method| {
            bus.call_method(
                Some("org.freedesktop.Notifications"),
                "/org/freedesktop/Notifications",
                Some("org.dunstproject.cmd0"),
                method,
                &(),
            )
        };
        // Only what was closed is in the history.
        call("NotificationCloseAll")?;
        let answer = call("NotificationListHistory")?;
        let all: Vec<HashMap<String, OwnedValue>> = answer.body().deserialize()?;
        let summary = |one: &HashMap<String, OwnedValue>| -> Option<String> {
            String::try_from(one.get("summary")?.clone()).ok()
        };
        Ok(all.iter().filter_map(summary).collect())
    }

    /// What is on the screen, as `TARGET/desktop/NAME.png`.
    pub(crate) fn picture(&self, name: &str) -> Result<()> {
        let folder = programs::target_directory()?.join("desktop");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        programs::run(self.command("import").args(["-window", "root"]).arg(file))?;
        Ok(())
    }

    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<&mut Child> {
        let log = std::fs::File::create(self.directory.path().join(format!("{program}.log")))?;
        let child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{program} could not be started; is it installed?"))?;
        self.programs.push(child);
        self.programs.last_mut().context("it was just put there")
    }

    /// The first line that it prints.
    fn start_and_read(&mut self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.start(program, arguments)?.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let line = line.trim();
        anyhow::ensure!(!line.is_empty(), "{program} ended without a word");
        Ok(line.to_owned())
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        // The screen last: whoever shows something on it ends before.
        while let Some(mut child) = self.programs.pop() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn bus_configuration(directory: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
        directory.display()
    )
}
