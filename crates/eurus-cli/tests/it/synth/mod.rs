//! `eurus synth`: trees of real runs of the program, with scripted and real models, whatever comes into their way.

mod accounts;
mod bad_input;
mod bad_stores;
mod budget;
mod company;
mod faults;
mod interrupts;
mod keys;
mod kills;
mod mixed;
mod problems;
mod puzzles;
mod servers;
mod site;
