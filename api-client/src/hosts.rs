//! The hosts that an agent may need though none of its settings names them.

/// Where the package managers of the agent's image fetch from: what an allow-list of hosts holds by
/// default. `.name` stands for every host below it.
pub const DEFAULT_REGISTRIES: [&str; 28] = [
    // npm and what it redirects to.
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "nodejs.org",
    // Python.
    "pypi.org",
    "files.pythonhosted.org",
    // Rust.
    "crates.io",
    "index.crates.io",
    "static.crates.io",
    "static.rust-lang.org",
    // Go.
    "proxy.golang.org",
    "sum.golang.org",
    // Debian.
    "deb.debian.org",
    "security.debian.org",
    // Ruby, Java.
    "rubygems.org",
    "index.rubygems.org",
    "repo.maven.apache.org",
    // Dependencies by git, and archives of them.
    "github.com",
    "codeload.github.com",
    "raw.githubusercontent.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
    // The content of files in Git LFS on GitHub: fetched from the first, sent to the second.
    "github-cloud.githubusercontent.com",
    "github-cloud.s3.amazonaws.com",
    // Docker Hub, for an agent with a Docker daemon of its own.
    "registry-1.docker.io",
    "auth.docker.io",
    "production.cloudflare.docker.com",
    "production.cloudfront.docker.com",
    "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
];

/// Where a worker CLI finds its model when no setting says so; all of them for a CLI that is not known
/// by this name, since the default decides.
#[must_use]
pub fn default_model_hosts(worker_mode: &str) -> &'static [&'static str] {
    match worker_mode {
        "claude-code" => &["api.anthropic.com:443"],
        "codex" => &["api.openai.com:443"],
        "gemini" => &["generativelanguage.googleapis.com:443"],
        _ => &[
            "api.anthropic.com:443",
            "api.openai.com:443",
            "generativelanguage.googleapis.com:443",
        ],
    }
}

/// Where a Director finds its model when no setting says so; `provider` is what `AGENT_PROVIDER` says.
#[must_use]
pub fn director_host(provider: &str) -> Option<&'static str> {
    match provider.trim().to_ascii_lowercase().as_str() {
        "" | "openai" => Some("api.openai.com:443"),
        "anthropic" => Some("api.anthropic.com:443"),
        "openrouter" => Some("openrouter.ai:443"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registry_is_documented_and_listed_once() {
        let documentation = include_str!("../../docs/egress.md");
        for host in DEFAULT_REGISTRIES {
            assert!(documentation.contains(&format!("`{host}`")), "{host}");
            assert_eq!(DEFAULT_REGISTRIES.iter().filter(|other| **other == host).count(), 1);
        }
    }
}
