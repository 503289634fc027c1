//! `image`: the images that jobs run in.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{Failure, complain, operated, say, screen, show, source};
use crate::cli::{Image, ImageAction, ImageBuild, ImageList, ImageMap, ServiceSettings};
use crate::clock;
use crate::config::ImageConfig;
use crate::engine::Layers;
use crate::explain::lines::plain;
use crate::operate::image::{self as images, Progress, Talkative, ToBuild};

pub(crate) async fn image(arguments: Image) -> Result<ExitCode, Failure> {
    match arguments.action {
        ImageAction::Build(arguments) => build(arguments).await,
        ImageAction::List(arguments) => list(&arguments).await,
        ImageAction::Map(arguments) => map(&arguments).await,
    }
}

fn config(of: &ServiceSettings) -> Result<ImageConfig, Failure> {
    let config = images::image_config(source(of));
    let (config, notice) = config.map_err(|error| operated(&error))?;
    if let Some(notice) = notice {
        complain(&notice);
    }
    Ok(config)
}

async fn build(arguments: ImageBuild) -> Result<ExitCode, Failure> {
    let config = config(&arguments.source)?;
    let wanted = ToBuild {
        tag: arguments.tag,
        from: arguments.from,
        arguments: arguments.build_arg,
        layers: if arguments.no_cache { Layers::Anew } else { Layers::Known },
    };
    let talkative = if arguments.verbose { Talkative::Lines } else { Talkative::Steps };
    let progress = Progress::on_stderr(&screen(), talkative);
    let built = images::build(&config, wanted, progress).await.map_err(|error| {
        if talkative == Talkative::Steps {
            tell_lines(error.lines());
        }
        operated(&error.into())
    })?;
    say(&if arguments.json { images::built_json(&built) } else { images::built_text(&built) });
    Ok(ExitCode::SUCCESS)
}

/// The last lines of a step that failed.
fn tell_lines(lines: &[String]) {
    for line in lines {
        // Who does not look does not need it.
        let _seen = writeln!(io::stderr(), "    {}", plain(line));
    }
}

async fn list(arguments: &ImageList) -> Result<ExitCode, Failure> {
    let config = config(&arguments.source)?;
    let list = images::list(&config).await.map_err(|error| operated(&error))?;
    if arguments.json {
        say(&images::list_json(&list));
    } else {
        show(|paper| images::list_text(&list, clock::now(), paper));
    }
    Ok(ExitCode::SUCCESS)
}

async fn map(arguments: &ImageMap) -> Result<ExitCode, Failure> {
    let config = config(&arguments.source)?;
    let edited = match (arguments.project, &arguments.image) {
        (Some(project), Some(image)) => Some(images::set(&config, project, image).await),
        (Some(project), None) if arguments.remove => Some(images::unset(&config, project).await),
        _ => None,
    };
    let edited = edited.transpose().map_err(|error| operated(&error))?;
    if let Some(edited) = edited.as_ref().filter(|_| !arguments.json) {
        say(&edited.told);
    } else {
        let map =
            images::map(&config, arguments.project).await.map_err(|error| operated(&error))?;
        if arguments.json {
            say(&images::map_json(&map));
        } else {
            show(|paper| images::map_text(&map, paper));
        }
    }
    if let Some(but) = edited.and_then(|edited| edited.but) {
        complain(&but);
    }
    Ok(ExitCode::SUCCESS)
}
