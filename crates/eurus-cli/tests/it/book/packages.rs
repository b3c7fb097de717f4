//! What the workspace has: packages, their targets and features, by cargo's own account.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

#[derive(Debug, Default)]
struct Package {
    /// `example:quickstart`, `bench:losses` and the like.
    targets: BTreeSet<String>,
    features: BTreeSet<String>,
}

/// The packages of the workspace by their names.
#[derive(Debug)]
pub struct Packages(BTreeMap<String, Package>);

impl Packages {
    pub fn read(root: &Path) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").context("cargo runs this test")?;
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--no-deps",
                "--offline",
                "--format-version",
                "1",
            ])
            .current_dir(root)
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata: {told}");
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let mut packages = BTreeMap::new();
        for told in metadata["packages"].as_array().into_iter().flatten() {
            let mut package = Package::default();
            for target in told["targets"].as_array().into_iter().flatten() {
                let (kind, name) = (text(&target["kind"][0]), text(&target["name"]));
                package.targets.insert(format!("{kind}:{name}"));
            }
            let features = told["features"].as_object().into_iter().flatten();
            package.features = features.map(|(name, _)| name.clone()).collect();
            packages.insert(text(&told["name"]), package);
        }
        Ok(Self(packages))
    }

    /// That what a command of cargo names is there. What stands after `--` is the program's own.
    pub fn check(&self, command: &str) -> Result<()> {
        let mut words = command.split_whitespace().take_while(|word| *word != "--");
        let mut named: Option<&Package> = None;
        while let Some(word) = words.next() {
            match word {
                "-p" => {
                    let name = words.next().context("-p names a package")?;
                    let package = self.0.get(name);
                    named = Some(package.with_context(|| format!("there is no package {name}"))?);
                }
                "--example" | "--test" | "--bench" => {
                    let kind = word.trim_start_matches('-');
                    let name = words.next().with_context(|| format!("{word} names one"))?;
                    let target = format!("{kind}:{name}");
                    let is_there = match named {
                        Some(package) => package.targets.contains(&target),
                        None => self.0.values().any(|it| it.targets.contains(&target)),
                    };
                    ensure!(is_there, "there is no {kind} {name}");
                }
                "--features" => {
                    let features = words.next().context("--features names some")?;
                    for feature in features.split(',') {
                        self.check_feature(named, feature)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_feature(&self, named: Option<&Package>, feature: &str) -> Result<()> {
        let is_there = match feature.split_once('/') {
            Some((package, feature)) => {
                let package = self.0.get(package);
                package.is_some_and(|it| it.features.contains(feature))
            }
            None => named.is_some_and(|it| it.features.contains(feature)),
        };
        ensure!(is_there, "there is no feature {feature}");
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
