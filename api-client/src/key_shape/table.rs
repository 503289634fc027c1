//! The kinds of keys that are known by their shape.
//!
//! Only shapes that are hardly ever met by chance are here: a hit keeps a run's work from being
//! published. Formats are those that the issuers publish or that scanners agree on; keys that are
//! public by design or made for tests only are left out. `docs/decisions/0011-secret-scan.md` says why
//! this is a table of ours.

use std::ops::RangeInclusive;

use super::shape::Alphabet::{
    Alphanumeric, Base64, Dotted, Hex, HexGroups, Padded, Path, Unreserved, Upper, Word,
};
use super::shape::{Alphabet, Proof, Shape};

/// A longer key than any.
const LONG: usize = 2_000;

/// All shapes, by issuer.
pub(super) static SHAPES: &[Shape] = &[
    // Forges and their registries.
    checked("a GitHub token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], Word, 36..=LONG),
    random("a GitHub fine-grained token", &["github_pat_"], Word, 82..=255),
    random("a GitLab token", GITLAB, Dotted, 20..=320),
    random("an Atlassian API token", &["ATATT3"], Padded, 150..=250),
    random("a Bitbucket app password", &["ATBB"], Alphanumeric, 32..=32),
    checked("an npm token", &["npm_"], Alphanumeric, 36..=36),
    random(
        "a PyPI token",
        &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"],
        Word,
        50..=LONG,
    ),
    random("a crates.io token", &["cio"], Alphanumeric, 32..=32),
    random("a RubyGems key", &["rubygems_"], Hex, 48..=48),
    random("a Docker Hub token", &["dckr_pat_", "dckr_oat_"], Word, 27..=64),
    random("a Clojars token", &["CLOJARS_"], Hex, 60..=60),
    // Clouds.
    random("a Google API key", &["AIza"], Word, 35..=35),
    random("a Google OAuth secret", &["GOCSPX-"], Word, 28..=28),
    random("a Google OAuth token", &["ya29."], Dotted, 60..=LONG),
    random("an Azure storage key", &["AccountKey="], Padded, 88..=88),
    random("an Azure shared access key", &["SharedAccessKey="], Padded, 44..=44),
    within("an Azure client secret", 4, &["Q~"], Unreserved, 31..=34),
    within("an Azure DevOps token", 76, &["AZDO"], Alphanumeric, 4..=4),
    random("a DigitalOcean token", &["dop_v1_", "doo_v1_", "dor_v1_"], Hex, 64..=64),
    random("an Alibaba Cloud key", &["LTAI"], Alphanumeric, 20..=20),
    random("a Fly.io token", &["fm2_"], Padded, 60..=LONG),
    random("a Netlify token", &["nfp_"], Alphanumeric, 36..=40),
    random("a Supabase token", &["sbp_"], Hex, 40..=40),
    random("a Supabase secret key", &["sb_secret_"], Word, 31..=60),
    random("a PlanetScale key", &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"], Dotted, 32..=64),
    random("a Heroku token", &["HRKU-AA"], Word, 50..=64),
    random("a Databricks token", &["dapi"], Hex, 32..=32),
    within("a Terraform Cloud token", 14, &[".atlasv1."], Padded, 60..=80),
    random("a Pulumi token", &["pul-"], Hex, 40..=40),
    random("a Vault token", &["hvs.", "hvb."], Word, 90..=LONG),
    random("a Tailscale key", &["tskey-auth-", "tskey-api-", "tskey-client-"], Word, 20..=80),
    random("a Doppler token", &["dp.pt.", "dp.sa.", "dp.ct."], Alphanumeric, 40..=44),
    random("a 1Password service account token", &["ops_eyJ"], Padded, 200..=LONG),
    // Models.
    random("an Anthropic key", &["sk-ant-"], Word, 40..=200),
    random("an OpenAI key", &["sk-proj-", "sk-svcacct-", "sk-admin-"], Word, 40..=220),
    within("an OpenAI key", 20, &["T3BlbkFJ"], Alphanumeric, 20..=20),
    random("an OpenRouter key", &["sk-or-v1-"], Hex, 64..=64),
    random("a Hugging Face token", &["hf_", "api_org_"], Alphanumeric, 34..=34),
    random("a Groq key", &["gsk_"], Alphanumeric, 52..=52),
    random("an xAI key", &["xai-"], Alphanumeric, 80..=80),
    random("a Perplexity key", &["pplx-"], Alphanumeric, 48..=48),
    random("a Replicate token", &["r8_"], Alphanumeric, 37..=37),
    random("a LangSmith key", &["lsv2_pt_", "lsv2_sk_"], HexGroups, 43..=43),
    // Payment, mail, messages, shops.
    random("a Stripe live key", &["sk_live_", "rk_live_"], Alphanumeric, 20..=250),
    random("a Stripe webhook secret", &["whsec_"], Base64, 32..=64),
    random("a Square token", &["sq0atp-", "sq0csp-"], Word, 22..=60),
    random("a Shopify token", &["shpat_", "shpca_", "shppa_", "shpss_"], Hex, 32..=32),
    random("a SendGrid key", &["SG."], Dotted, 66..=66),
    random("a Twilio API key", &["SK"], Hex, 32..=32),
    random("a Slack token", SLACK, Word, 20..=250),
    random("a Slack webhook", &["hooks.slack.com/services/"], Path, 40..=60),
    random("a Discord webhook", &["discord.com/api/webhooks/"], Path, 80..=110),
    // Tools of development and operation.
    random("a Sentry token", &["sntrys_", "sntryu_"], Padded, 60..=LONG),
    random("a Grafana token", &["glsa_", "glc_"], Padded, 40..=400),
    random("a New Relic key", &["NRAK-"], Upper, 27..=27),
    random("a Postman key", &["PMAK-"], HexGroups, 59..=59),
    random("a Linear key", &["lin_api_"], Alphanumeric, 40..=40),
    random("a Notion token", &["ntn_"], Alphanumeric, 43..=50),
    random("a Figma token", &["figd_"], Word, 40..=50),
    random("a Buildkite token", &["bkua_"], Hex, 40..=40),
    random("a CircleCI token", &["CCIPAT_", "CCIPRJ_"], Word, 40..=80),
    random("an age key", &["AGE-SECRET-KEY-1"], Upper, 58..=58),
];

const GITLAB: &[&str] = &[
    "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glft-", "glimt-", "glagent-",
    "gloas-", "glffct-",
];

const SLACK: &[&str] = &[
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "xoxc-",
    "xoxd-",
    "xoxe-",
    "xoxe.xoxp-",
    "xapp-",
];

const fn random(
    name: &'static str,
    clues: &'static [&'static str],
    alphabet: Alphabet,
    length: RangeInclusive<usize>,
) -> Shape {
    Shape { name, clues, lead: 0, alphabet, length, proof: Proof::Random }
}

const fn checked(
    name: &'static str,
    clues: &'static [&'static str],
    alphabet: Alphabet,
    length: RangeInclusive<usize>,
) -> Shape {
    Shape { name, clues, lead: 0, alphabet, length, proof: Proof::Checksum }
}

const fn within(
    name: &'static str,
    lead: usize,
    clues: &'static [&'static str],
    alphabet: Alphabet,
    length: RangeInclusive<usize>,
) -> Shape {
    Shape { name, clues, lead, alphabet, length, proof: Proof::Random }
}
