//! From the configuration to the worker's command line and settings file.

use std::path::{Path, PathBuf};

use gaia_prompt::{ChatTemplate, SpecialTokens};

use super::{NodeError, NodePlan, Services};
use crate::config::{Config, Confine};
use crate::home::{Home, make_private_folder, write_private};
use crate::supervisor::child::ChildPlan;
use crate::supervisor::confinement::{self, Needs, Program, Report};
use crate::supervisor::prepare::Parts;
use crate::supervisor::worker::{
    GraphOptions, Preload, SETTINGS_FILE, Surroundings, WorkerPlan, worker_settings,
};

/// How to start the worker, and the key it will ask for.
#[derive(Debug, Clone)]
pub struct WorkerChild {
    /// Its process.
    pub plan: ChildPlan,
    /// Its key.
    pub key: String,
}

/// Writes the worker's settings; true if others were there before.
pub fn write_settings(plan: &NodePlan, services: &Services) -> Result<bool, NodeError> {
    const TEMPLATE_FILE: &str = "chat-template.jinja";
    let (config, prepared) = (plan.config, plan.prepared);
    let folder = worker_folder(plan.home)?;
    make_private_folder(&plan.home.prompts())?;
    if let Some(text) = chat_template(config)? {
        // The worker sees only its own folder.
        write_private(&folder.join(TEMPLATE_FILE), text.as_bytes())?;
    }
    let around = Surroundings {
        store: services.store.as_ref(),
        back: &services.back,
        port: services.worker.port,
        bell_port: services.bell,
        worker_key: &services.worker.key,
        node_id: plan.node_id,
        chat_name: &prepared.models.chat.name,
        embedding_name: prepared
            .models
            .embedding
            .as_ref()
            .map(|model| model.name.as_str()),
        reranking_name: prepared
            .models
            .reranking
            .as_ref()
            .map(|model| model.name.as_str()),
        chat_template: (!config.chat_template.is_empty()).then_some(TEMPLATE_FILE),
        has_named_keys: plan.home.api_keys().exists(),
    };
    let file = folder.join(SETTINGS_FILE);
    let text = worker_settings(config, &around);
    let before = std::fs::read(&file).ok();
    write_private(&file, text.as_bytes())?;
    Ok(before.is_some_and(|before| before != text.as_bytes()))
}

/// Writes the worker's settings and says how to start it from `parts`.
pub fn worker_child(
    plan: &NodePlan,
    parts: &Parts,
    services: &Services,
) -> Result<WorkerChild, NodeError> {
    write_settings(plan, services)?;
    let options: &[&str] = if parts.is_compiled {
        parts.wasmedge.aot_options()
    } else {
        &[]
    };
    let mut environment = plan.environment.for_worker.clone();
    // So that the plugin need not try a model in a child process at each start.
    let tried = plan.environment.cache.join("tried");
    environment.push((
        "GAIA_TRIED_MODELS".to_owned(),
        tried.clone().into_os_string(),
    ));
    let worker = WorkerPlan {
        command: parts.wasmedge.command.clone(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        module: parts.module.clone(),
        plugin: parts.plugin.clone(),
        folder: worker_folder(plan.home)?,
        prompts: plan.home.prompts(),
        preloads: preloads(plan),
        environment,
    };
    Ok(WorkerChild {
        plan: confined(plan, worker, services, &tried)?,
        key: services.worker.key.clone(),
    })
}

/// How the worker is started: through what takes from it what it does not need, if that is wanted.
fn confined(
    plan: &NodePlan,
    worker: WorkerPlan,
    services: &Services,
    tried: &Path,
) -> Result<ChildPlan, NodeError> {
    if plan.config.confine == Confine::Off || !cfg!(target_os = "linux") {
        return Ok(worker.child());
    }
    // What is not there cannot be allowed.
    make_private_folder(tried)?;
    let program = Program::of(&worker.command);
    let needs = Needs {
        tried,
        services: &services.reached(),
        own_ports: &[services.bell],
        gpu: plan.config.gpu_layers > 0,
    };
    let kept = confinement::plan(&worker, &program, &needs);
    let text = serde_json::to_vec_pretty(&kept).map_err(NodeError::Confine)?;
    let file = plan.home.confinement();
    write_private(&file, &text)?;
    Ok(confinement::confined(worker.child(), program, plan.home))
}

/// What the worker can do on this machine, for the log.
pub fn confinement_line(plan: &NodePlan, parts: &Parts) -> String {
    match plan.config.confine {
        Confine::Off => "the worker is not confined: it may do what its user may".to_owned(),
        Confine::Auto => {
            let program = Program::of(&parts.wasmedge.command);
            Report::of(gaia_confine::grants(), &program).line()
        }
    }
}

/// Fails if [`worker_child`] would, by what is configured.
pub fn check(home: &Home, config: &Config) -> Result<(), NodeError> {
    worker_folder(home)?;
    let Some(text) = chat_template(config)? else {
        return Ok(());
    };
    match ChatTemplate::new(&text, SpecialTokens::default()) {
        Ok(_) => Ok(()),
        Err(source) => {
            let path = PathBuf::from(&config.chat_template);
            Err(NodeError::WrongTemplate { path, source })
        }
    }
}

fn worker_folder(home: &Home) -> Result<PathBuf, NodeError> {
    let folder = home.worker();
    match folder.as_os_str().as_encoded_bytes().contains(&b':') {
        true => Err(NodeError::Colon(home.root().to_owned())),
        false => Ok(folder),
    }
}

fn chat_template(config: &Config) -> Result<Option<String>, NodeError> {
    if config.chat_template.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(&config.chat_template);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(source) => Err(NodeError::ChatTemplate { path, source }),
    }
}

fn preloads(plan: &NodePlan) -> Vec<Preload> {
    let models = &plan.prepared.models;
    let mut preloads = vec![Preload {
        graph: "default",
        file: models.chat.file.clone(),
        options: GraphOptions {
            projector: models.projector.clone(),
            ..GraphOptions::chat(plan.config, models.draft.clone())
        },
    }];
    preloads.extend(models.embedding.as_ref().map(|model| Preload {
        graph: "embedding",
        file: model.file.clone(),
        options: GraphOptions::embedding(plan.config),
    }));
    preloads.extend(models.reranking.as_ref().map(|model| Preload {
        graph: "reranking",
        file: model.file.clone(),
        options: GraphOptions::embedding(plan.config),
    }));
    preloads
}
