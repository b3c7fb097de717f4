//! The guide's page of recipes says what the recipes say.

use eurus_recipes::Recipe;

const PAGE: &str = include_str!("../../../../docs/src/recipes.md");

#[test]
fn the_table_of_the_guide_counts_the_values_of_every_recipe() {
    for recipe in Recipe::all().unwrap() {
        let (paper, ours): (Vec<_>, Vec<_>) = recipe
            .values()
            .into_iter()
            .partition(|(key, _)| recipe.is_confirmed(key));
        let start = format!("| `{}` | {} |", recipe.name(), recipe.title());
        let row = PAGE.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("the page has no row `{start}`"));
        let end = format!("| {} | {} |", paper.len(), ours.len());
        assert!(row.ends_with(&end), "{row} should end with {end}");
    }
}

#[test]
fn the_recipe_of_the_guide_is_read() {
    let text = PAGE.split("```toml\n").nth(1).unwrap();
    let text = text.split("```").next().unwrap();
    let recipe = Recipe::parse(text).unwrap();
    assert_eq!(recipe.name(), "mine");
}
