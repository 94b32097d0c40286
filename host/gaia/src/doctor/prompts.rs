//! Whether the node's named prompts can be used.

use super::Finding;
use crate::config::Config;
use crate::home::Home;
use crate::prompts::Folder;

const CHECK: &str = "prompts";

/// None where there are no prompts and none is wanted.
pub fn examine(home: &Home, config: &Config) -> Option<Finding> {
    let folder = match Folder::read(home) {
        Ok(folder) => folder,
        Err(error) => {
            let mend = "make the folder readable";
            return Some(Finding::warn(CHECK, format!("{error:#}"), mend));
        }
    };
    if let Some(problem) = folder.problems.first() {
        let found = format!("prompts/{problem}");
        let mend = "mend the file; until then its last good version counts (`gaia prompt list`)";
        return Some(Finding::warn(CHECK, found, mend));
    }
    if let Some(finding) = nobody_makes(&folder, home) {
        return Some(finding);
    }
    let count = folder.set.all().count();
    let wanted = config.prompt.as_str();
    if let Some(names) = folder.missing(wanted) {
        let found = format!("the configuration names `{wanted}`, which there is not; {names}");
        let mend = format!("write prompts/{wanted}.md, or `gaia config set prompt NAME`");
        return Some(Finding::warn(CHECK, found, mend));
    }
    (count > 0).then(|| Finding::ok(CHECK, format!("{count}, all of them usable")))
}

/// A prompt whose plugin is not there.
fn nobody_makes(folder: &Folder, home: &Home) -> Option<Finding> {
    let mut makers = folder
        .set
        .all()
        .filter_map(|(file, prompt)| Some((file, prompt.made_by()?)));
    let plugins = gaia_plugins::find_all(&home.plugins()).plugins;
    let makes = |name: &str| {
        let mut named = plugins.iter().filter(|plugin| plugin.manifest.name == name);
        named.any(|plugin| plugin.manifest.parameters().is_none())
    };
    let (file, maker) = makers.find(|(_, maker)| !makes(maker))?;
    let found = format!("prompts/{file} is made by `{maker}`, which there is not");
    let mend = "gaia prompt add FOLDER, or take `made_by` out of the file";
    Some(Finding::warn(CHECK, found, mend))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn prompts_are_judged_where_there_are_any() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path()).unwrap();
        home.make_folders().unwrap();
        let check = |wanted: &str, expected: Option<(Verdict, &str)>| {
            let config = Config {
                prompt: wanted.to_owned(),
                ..Config::default()
            };
            let finding = examine(&home, &config);
            let verdict = finding.as_ref().map(|finding| finding.verdict);
            assert_eq!(verdict, expected.map(|(verdict, _)| verdict));
            let found = finding.map(|finding| finding.found).unwrap_or_default();
            assert!(
                found.contains(expected.map_or("", |(_, part)| part)),
                "{found}"
            );
        };
        check("", None);
        check("a", Some((Verdict::Warn, "names `a`")));
        fs::write(home.prompts().join("a.md"), "Be brief.").unwrap();
        check("a", Some((Verdict::Ok, "1, all")));
        fs::write(home.prompts().join("b.md"), "+++\nmade_by = 'x'\n+++\n").unwrap();
        check("a", Some((Verdict::Warn, "b.md is made by `x`")));
        fs::write(home.prompts().join("b.md"), "{{ nobody }}").unwrap();
        check("a", Some((Verdict::Warn, "prompts/b.md:1: `nobody`")));
    }
}
