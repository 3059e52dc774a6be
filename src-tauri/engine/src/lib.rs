//! The engine senses and acts: it carries out what the doctor orders and reports what came of it.
//!
//! In reading order: the loop, what it senses with, what it acts with, what it keeps, how it is
//! spoken to, and the system beneath.

pub mod api;
pub mod config;
pub mod docker_host;
pub mod handle;
pub mod journal;
pub mod ledger;
pub mod paths;
pub mod platform;
pub mod run;
pub mod view;
pub mod picture;
pub mod words;

pub mod senses;
pub mod probe;
pub mod hands;
pub mod action;

pub mod journal;
pub mod ledger;
pub mod config;
pub mod paths;

pub mod api;

pub mod clock;
pub mod docker_host;
pub mod log;
pub mod platform;
