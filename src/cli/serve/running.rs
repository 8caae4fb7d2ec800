//! A sidecar that runs: how it takes another configuration, and how it ends.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::presets;
use super::{Named, ServeArgs};
use crate::cli::failure::Failure;
use crate::cli::shown;
use crate::client::Client;
use crate::config::Config;
use crate::config::serving::ServingPreset;
use crate::sidecar::{Changes, DrainOptions, PartId, PartOptions, Sidecar};

/// A sidecar and the clients that it stands on, one for each preset that was asked for.
pub(super) struct Running {
    pub(super) sidecar: Sidecar,
    clients: Vec<(ServingPreset, PartId, Client)>,
}

impl Running {
    /// Begins to serve. Each preset is a client and a cache of its own: what one may store, another
    /// may not use.
    pub(super) async fn start(config: &Config, listeners: &[Named]) -> Result<Self, Failure> {
        let mut presets = presets_of(listeners).into_iter();
        let Some(first) = presets.next() else { return Err(Failure::usage("no listener")) };
        let (part, client) = part(first, config)?;
        let sidecar = Sidecar::of(part);
        let mut running = Self { sidecar, clients: vec![(first, PartId::FIRST, client)] };
        for preset in presets {
            running.add(preset, config)?;
        }
        running.listen(listeners).await.map_err(|error| Failure::usage(error.to_string()))?;
        running.show(config);
        Ok(running)
    }

    /// Takes what the file says now; after an error all is as it was.
    pub(super) async fn reload(&mut self, args: &ServeArgs) -> Result<Value, String> {
        let done = self.try_reload(args).await;
        self.sidecar.reloaded(done.is_ok());
        done
    }

    /// Ends in order; returns how many requests were cut off.
    pub(super) async fn end(&self, options: DrainOptions) -> u64 {
        let cut = self.sidecar.drain_within(options).await;
        for (_, _, client) in &self.clients {
            client.shutdown(Duration::ZERO).await;
        }
        cut
    }

    async fn try_reload(&mut self, args: &ServeArgs) -> Result<Value, String> {
        let config = args.config().map_err(|failure| failure.to_string())?;
        let listeners = super::listeners(args, &config);
        let known: Vec<ServingPreset> = self.clients.iter().map(|(known, _, _)| *known).collect();
        for preset in presets_of(&listeners) {
            let of_preset = presets::config_of(preset, config.clone());
            of_preset.check().map_err(|error| error.to_string())?;
            let running = self.clients.iter().find(|(known, _, _)| *known == preset);
            if let Some((_, _, client)) = running {
                client.may_reload(&of_preset).map_err(|error| error.to_string())?;
            }
            if !known.contains(&preset) {
                self.add(preset, &config).map_err(|failure| failure.to_string())?;
            }
        }
        let changes = self.listen(&listeners).await.map_err(|error| error.to_string())?;
        for (preset, _, client) in &self.clients {
            let of_preset = presets::config_of(*preset, config.clone());
            client.reload(of_preset).map_err(|error| error.to_string())?;
        }
        self.show(&config);
        let Changes { added, removed, kept } = changes;
        Ok(json!({ "listeners": { "added": added, "removed": removed, "kept": kept } }))
    }

    fn add(&mut self, preset: ServingPreset, config: &Config) -> Result<(), Failure> {
        let (part, client) = part(preset, config)?;
        let id = self.sidecar.add(part);
        self.clients.push((preset, id, client));
        Ok(())
    }

    async fn listen(&mut self, listeners: &[Named]) -> std::io::Result<Changes> {
        let of = |wanted: ServingPreset| {
            let found = self.clients.iter().find(|(preset, _, _)| *preset == wanted);
            found.map_or(PartId::FIRST, |(_, part, _)| *part)
        };
        let listeners = listeners.iter();
        let listeners = listeners.map(|(preset, _, options)| (of(*preset), options.clone()));
        let listeners = listeners.collect();
        self.sidecar.listen(listeners).await
    }

    fn show(&self, config: &Config) {
        self.sidecar.show_config(shown::as_json(config));
    }
}

/// The files that a configuration stands on.
pub(super) fn files_of(args: &ServeArgs, listeners: &[Named]) -> Vec<PathBuf> {
    let pairs = listeners.iter().filter_map(|(_, _, options)| options.tls.clone());
    let tls = pairs.flat_map(|(cert, key)| [cert, key]);
    args.file().cloned().into_iter().chain(tls).collect()
}

fn part(preset: ServingPreset, config: &Config) -> Result<(PartOptions, Client), Failure> {
    let (client, cache) = presets::parts(preset, config)?;
    let name = preset.name().to_owned();
    let part = PartOptions { name, client: client.clone(), cache };
    Ok((part, client))
}

fn presets_of(listeners: &[Named]) -> Vec<ServingPreset> {
    let all = [ServingPreset::Cautious, ServingPreset::Conformance, ServingPreset::Private];
    let named = |wanted| listeners.iter().any(|(preset, _, _)| *preset == wanted);
    all.into_iter().filter(|preset| named(*preset)).collect()
}
