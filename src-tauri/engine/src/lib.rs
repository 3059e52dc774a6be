//! The engine senses and acts: it carries out what the doctor orders and reports what came of it.
//!
//! In reading order: the loop, what it senses with, what it acts with, what it keeps, how it is
//! spoken to, and the system beneath.

pub mod handle;
pub mod history;
pub mod menu;
pub mod picture;
pub mod run;
pub mod view;
pub mod wish;
pub mod words;

pub mod action;
pub mod hands;
pub mod healers;
pub mod logs;
pub mod probe;
pub mod senses;
pub mod store;

pub mod config;
pub mod journal;
pub mod ledger;
pub mod paths;

pub mod address;
pub mod api;
pub mod audit;

pub mod clock;
pub mod docker_host;
pub mod environments;
pub mod log;
pub mod platform;
