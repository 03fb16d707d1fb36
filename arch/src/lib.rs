//! stub
#![no_std]

pub mod cpu;
