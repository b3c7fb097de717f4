//! The viewer of preference trees.
