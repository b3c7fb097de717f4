//! Templates of one's own.

use std::fs;

use ultrainteract_synth::Prompts;

#[test]
fn a_folder_replaces_the_templates_that_it_has_and_their_fingerprints() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("critic.j2"),
        "{{ problem }} {{ action }}",
    )
    .unwrap();
    fs::write(folder.path().join("notes.txt"), "no template").unwrap();
    let mine = Prompts::from_folder(folder.path()).unwrap();
    let built_in = Prompts::default();
    for (name, fingerprint) in mine.fingerprints() {
        assert_eq!(
            *name != "critic",
            built_in.fingerprints()[name] == *fingerprint,
            "{name}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_file() {
    let refused = |name: &str, text: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        Prompts::from_folder(folder.path()).unwrap_err().to_string()
    };
    let said = refused("critic.j2", "{{ problem }} {{ mood }}");
    assert!(
        said.contains("critic.j2") && said.contains("`mood`") && said.contains("ground_truth"),
        "{said}"
    );
    let said = refused("critc.j2", "x");
    assert!(said.contains("did you mean critic.j2?"), "{said}");
    let said = refused("actor.j2", "{% if %}");
    assert!(said.contains("is no template"), "{said}");
    let said = Prompts::from_folder("/no/such/folder")
        .unwrap_err()
        .to_string();
    assert!(said.contains("/no/such/folder"), "{said}");
}
