//! The engine senses and acts: it carries out what the doctor orders and reports what came of it.

pub mod view;
