//! The CPU's features: what an image needs and what this CPU has.
