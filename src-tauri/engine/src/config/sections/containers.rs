//! Containers and HTTP services.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doctor::{Care, Compose, Heal, Spec, TargetId};

use super::super::reader::{Field, Section};
use super::super::{ContainerSettings, Progress, ServiceSettings, values};
use super::{GRACE, INTERVAL, Range, Reading, TIMEOUT, boolean, duration, heal};

/// Containers that are to run wherever they exist, unless the file says otherwise.
pub(super) const DEFAULT_CRITICAL: [&str; 2] = ["knowledge_nightly", "knowledge_os_orchestrator"];

/// Events tell of containers at once; the snapshot comes round in this time (RECOVERY 1.3).
const SNAPSHOT: Duration = Duration::from_mins(1);

const WITHIN: Range = (Duration::from_mins(1), Duration::from_hours(24 * 7));

impl<'a> Reading<'a> {
    /// The rest of the section `[docker]`.
    pub(super) fn containers(
        &mut self,
        docker: Section<'a>,
        inherited: Heal,
    ) -> Vec<ContainerSettings> {
        let mut names = BTreeSet::new();
        let mut settings = Vec::new();
        for section in docker.sections("container") {
            let field = section.need("name", "\"knowledge_nightly\"");
            let name =
                field.as_ref().and_then(|field| field.checked(values::container(field.text()?)));
            let container = self.container(section, name.unwrap_or_default(), inherited);
            let (Some(field), Some(name)) = (field, name) else { continue };
            if !names.insert(name.to_owned()) {
                field.error("a container of this name is there already; each may be named once");
            }
            settings.push(container);
        }
        docker.finish();
        for name in DEFAULT_CRITICAL.iter().filter(|&&name| !names.contains(name)) {
            self.roster.push(Spec {
                id: TargetId::Container((*name).into()),
                name: (*name).into(),
                configured: false,
                heal: inherited,
                interval: SNAPSHOT,
                grace: self.grace,
                needs: Vec::new(),
                care: Care::Container {
                    critical: true,
                    compose: None,
                    light: BTreeMap::new(),
                    after: Vec::new(),
                },
            });
        }
        settings
    }

    fn container(
        &mut self,
        section: Section<'a>,
        name: &str,
        inherited: Heal,
    ) -> ContainerSettings {
        let id = TargetId::Container(name.into());
        let critical =
            boolean(&section, "critical").unwrap_or_else(|| DEFAULT_CRITICAL.contains(&name));
        let compose = section.get("compose").and_then(|field| self.compose(&field, name));
        let light = section.section("light_start");
        let light = light.entries().into_iter();
        let light = light.filter_map(|(name, field)| Some((name, field.text()?.to_owned())));
        let spec = Spec {
            id: id.clone(),
            name: name.into(),
            configured: true,
            heal: heal(&section).unwrap_or(inherited),
            interval: duration(&section, "interval", INTERVAL).unwrap_or(SNAPSHOT),
            grace: duration(&section, "grace", GRACE).unwrap_or(self.grace),
            needs: Vec::new(),
            care: Care::Container { critical, compose, light: light.collect(), after: Vec::new() },
        };
        self.needs.of(id, section.get("needs"));
        let progress = section.get("progress").and_then(|field| progress(&field));
        section.finish();
        self.roster.push(spec);
        ContainerSettings { name: name.into(), progress }
    }

    fn compose(&self, field: &Field<'_>, container: &str) -> Option<Compose> {
        let section = field.section()?;
        let file = section.need("file", "\"~/project/docker-compose.yml\"");
        let files: Option<Vec<String>> = file.and_then(|field| {
            let items = field.items();
            if items.is_empty() {
                field.error("names no file");
            }
            items.iter().map(|item| self.path(item, item.text()?)).collect()
        });
        let text = |key| section.get(key).and_then(|field| field.name()).map(str::to_owned);
        let path = |key| section.get(key).and_then(|field| self.path(&field, field.text()?));
        let service = text("service").unwrap_or_else(|| container.to_owned());
        let project = text("project");
        let directory = path("directory");
        let env_file = path("env_file");
        section.finish();
        let light = BTreeMap::new();
        Some(Compose { files: files?, service, project, directory, env_file, light })
    }

    pub(super) fn services(
        &mut self,
        sections: Vec<Section<'a>>,
        inherited: Heal,
    ) -> Vec<ServiceSettings> {
        let mut names = BTreeSet::new();
        let mut settings = Vec::new();
        for section in sections {
            let field = section.need("name", "\"Victoria Agent\"");
            let name = field.as_ref().and_then(Field::name).unwrap_or_default();
            let service = self.service(section, name, inherited);
            if let Some(field) = field
                && !name.is_empty()
                && !names.insert(name)
            {
                field.error("a service of this name is there already; each may be named once");
            }
            settings.extend(service);
        }
        settings
    }

    fn service(
        &mut self,
        section: Section<'a>,
        name: &str,
        inherited: Heal,
    ) -> Option<ServiceSettings> {
        let id = TargetId::Service(name.into());
        let url = section
            .need("url", "\"http://127.0.0.1:8010/health\"")
            .and_then(|field| field.checked(values::url(field.text()?)));
        let expect = section.get("expect").and_then(|field| expect(&field));
        let container = section
            .get("container")
            .and_then(|field| field.checked(values::container(field.text()?)))
            .map(str::to_owned);
        // What is done for it is done to the container.
        let unsaid = if container.is_some() { inherited } else { Heal::Auto };
        let interval = duration(&section, "interval", INTERVAL).unwrap_or(Duration::from_secs(10));
        let timeout = duration(&section, "timeout", TIMEOUT).unwrap_or(Duration::from_secs(5));
        let spec = Spec {
            id: id.clone(),
            name: name.into(),
            configured: true,
            heal: heal(&section).unwrap_or(unsaid),
            interval,
            grace: duration(&section, "grace", GRACE).unwrap_or(self.grace),
            needs: Vec::new(),
            care: Care::Service { expect: expect.unwrap_or_else(|| vec![200]), container },
        };
        self.needs.of(id.clone(), section.get("needs"));
        section.finish();
        self.roster.push(spec);
        Some(ServiceSettings { id, url: url?, timeout })
    }
}

fn expect(field: &Field<'_>) -> Option<Vec<u16>> {
    let items = field.items();
    if items.is_empty() {
        field.error("names no status; write 200 or [200, 204]");
        return None;
    }
    let code = |item: &Field<'_>| {
        let code = u16::try_from(item.number()?).ok().filter(|code| (100..600).contains(code));
        if code.is_none() {
            item.error("is not an HTTP status; 100 to 599 is allowed");
        }
        code
    };
    items.iter().map(code).collect()
}

fn progress(field: &Field<'_>) -> Option<Progress> {
    let section = field.section()?;
    let within =
        section.need("within", "\"30m\"").and_then(|field| field.duration(WITHIN.0, WITHIN.1));
    let log = section.get("log");
    let url = section.get("url");
    let value = section.get("field");
    let progress = match (log, url, value) {
        (Some(log), None, None) => {
            let text = log.name();
            text.zip(within).map(|(text, within)| Progress::Log { text: text.into(), within })
        }
        (None, Some(url), Some(value)) => {
            let url = url.checked(values::url(url.text().unwrap_or_default()));
            let value = value.name();
            url.zip(value).zip(within).map(|((url, field), within)| Progress::Field {
                url,
                field: field.into(),
                within,
            })
        }
        _ => {
            field.error("write either log and within, or url, field and within");
            None
        }
    };
    section.finish();
    progress
}
