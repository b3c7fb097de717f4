//! Tests of what only the store itself can see.
