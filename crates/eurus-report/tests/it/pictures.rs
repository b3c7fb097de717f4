//! The pictures of the guide are those that the example draws.

#[path = "../../examples/healthy_and_sick/curves.rs"]
mod curves;

use std::path::Path;

#[test]
fn the_pictures_of_the_guide_are_those_of_the_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reading-a-report");
    if !folder.is_dir() {
        test_support::skip("the guide is not there");
        return;
    }
    for (name, figure) in curves::all() {
        let drawn = figure.to_svg().unwrap();
        let there = std::fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap_or_default();
        assert!(
            drawn == there,
            "{name}.svg is another one; draw them anew: cargo run -p eurus-report --example healthy_and_sick -- docs/src/reading-a-report"
        );
    }
}
