// Makes github.json and gitea.json anew: the structure (paths, methods, parameters, names, types and
// required fields of bodies) of the requests that are sent, out of packages that carry the forges'
// published descriptions. No prose is taken. README.md says how it is run.

import { readFileSync, writeFileSync } from "node:fs";

const [folder, version] = [process.argv[2], (name) => JSON.parse(readFileSync(`${folder}/${name}/package.json`)).version];

const GITHUB = [
  "GET /user",
  "GET /repos/{owner}/{repo}",
  "GET /repos/{owner}/{repo}/git/ref/{ref}",
  "GET /repos/{owner}/{repo}/installation",
  "POST /app/installations/{installation_id}/access_tokens",
  "GET /app",
  "GET /app/installations/{installation_id}",
  "GET /repos/{owner}/{repo}/pulls",
  "POST /repos/{owner}/{repo}/pulls",
  "GET /repos/{owner}/{repo}/pulls/{pull_number}",
  "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
  "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
  "GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews",
  "GET /repos/{owner}/{repo}/pulls/{pull_number}/comments",
  "POST /repos/{owner}/{repo}/pulls/{pull_number}/comments/{comment_id}/replies",
  "GET /repos/{owner}/{repo}/labels/{name}",
  "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
  "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
  "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
  "GET /repos/{owner}/{repo}/commits/{ref}/status",
  "GET /repos/{owner}/{repo}/commits/{ref}/check-runs",
];

const GITEA = [
  "GET /user",
  "GET /version",
  "GET /repos/{owner}/{repo}/pulls",
  "POST /repos/{owner}/{repo}/pulls",
  "GET /repos/{owner}/{repo}/pulls/{index}",
  "PATCH /repos/{owner}/{repo}/pulls/{index}",
  "POST /repos/{owner}/{repo}/pulls/{index}/requested_reviewers",
  "GET /repos/{owner}/{repo}/pulls/{index}/reviews",
  "POST /repos/{owner}/{repo}/pulls/{index}/reviews",
  "GET /repos/{owner}/{repo}/pulls/{index}/reviews/{id}/comments",
  "GET /repos/{owner}/{repo}/labels",
  "GET /repos/{owner}/{repo}/assignees",
  "GET /orgs/{org}/labels",
  "POST /repos/{owner}/{repo}/issues/{index}/labels",
  "GET /repos/{owner}/{repo}/issues/{index}/comments",
  "POST /repos/{owner}/{repo}/issues/{index}/comments",
  "GET /repos/{owner}/{repo}/commits/{ref}/status",
];

// Newer than the package, and transcribed by hand.
const GITEA_ACTIONS = {
  "GET /repos/{owner}/{repo}/actions/runs": query("event branch status actor head_sha", "page limit"),
  "GET /repos/{owner}/{repo}/actions/runs/{run}/jobs": query("status", "page limit"),
  "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs": { query: {} },
};

function query(strings, numbers) {
  const of = (type, names) => names.split(" ").map((name) => [name, { type }]);
  return { query: Object.fromEntries([...of("string", strings), ...of("number", numbers)]) };
}

function github() {
  const name = "@octokit/openapi";
  const all = JSON.parse(readFileSync(`${folder}/${name}/generated/api.github.com.json`));
  const resolve = (value) =>
    value?.$ref ? resolve(value.$ref.slice(2).split("/").reduce((at, key) => at[key], all)) : value;
  const schema = (given) => {
    const from = resolve(given);
    if (!from) return {};
    const alternatives = from.oneOf ?? from.anyOf;
    if (alternatives) return { oneOf: alternatives.map(schema) };
    const made = {};
    if (from.type) made.type = from.type;
    if (from.nullable) made.nullable = true;
    if (from.enum) made.enum = from.enum;
    if (from.items) made.items = schema(from.items);
    if (from.properties) {
      made.properties = Object.fromEntries(Object.entries(from.properties).map(([key, value]) => [key, schema(value)]));
      made.required = from.required ?? [];
    }
    return made;
  };
  const operation = (key) => {
    const [method, path] = key.split(" ");
    const found = all.paths[path][method.toLowerCase()];
    const query = (found.parameters ?? []).map(resolve).filter((parameter) => parameter.in === "query");
    const body = found.requestBody?.content?.["application/json"]?.schema;
    return {
      query: Object.fromEntries(query.map((parameter) => [parameter.name, schema(parameter.schema)])),
      ...(body && { body: schema(body) }),
    };
  };
  write("github.json", `npm ${name} ${version(name)}, generated/api.github.com.json`, GITHUB, operation);
}

// The package holds no description, but types and requests that were generated from it.
function gitea() {
  const name = "gitea-js";
  const types = readFileSync(`${folder}/${name}/dist/index.d.ts`, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  const code = readFileSync(`${folder}/${name}/dist/index.mjs`, "utf8");
  const between = (text, at) => {
    let depth = 0;
    for (let i = at; i < text.length; i += 1) {
      if (text[i] === "{") depth += 1;
      if (text[i] === "}" && (depth -= 1) === 0) return text.slice(at + 1, i);
    }
    throw new Error("a brace is not closed");
  };
  const named = (type) => {
    const at = types.search(new RegExp(`^interface ${type} \\{`, "m"));
    if (at >= 0) return object(between(types, types.indexOf("{", at)));
    const alias = types.match(new RegExp(`^type ${type} = ([^;]+);`, "m"));
    if (!alias) throw new Error(`no type ${type}`);
    return schema(alias[1].trim());
  };
  const schema = (type) => {
    if (type.endsWith("[]")) return { type: "array", items: schema(type.slice(0, -2)) };
    if (type.startsWith("'") || type.startsWith('"')) {
      return { type: "string", enum: type.split("|").map((part) => part.trim().slice(1, -1)) };
    }
    if (type === "any" || type === "object") return {};
    if (["string", "boolean", "number"].includes(type)) return { type };
    return named(type);
  };
  const object = (text) => {
    const made = { type: "object", properties: {}, required: [] };
    for (const [, field, optional, type] of text.matchAll(/(\w+)(\?)?:\s*([^;{]+);/g)) {
      made.properties[field] = schema(type.trim());
      if (!optional) made.required.push(field);
    }
    return made;
  };
  const operation = (key) => {
    const [method, path] = key.split(" ");
    const lines = code.split("\n");
    const at = lines.findIndex((line) => line.trim() === `* @request ${method}:${path}`);
    const call = lines.slice(at).find((line) => /^\s*\w+: \(/.test(line));
    const signature = types.slice(types.search(new RegExp(`^\\s+${call.trim().split(":")[0]}: \\(`, "m")));
    const head = signature.slice(0, signature.indexOf("=>"));
    const query = head.includes("query?: {") ? object(between(head, head.indexOf("query?: {") + 8)).properties : {};
    const body = head.match(/body: (\w+)/)?.[1];
    return { query, ...(body && { body: schema(body) }) };
  };
  write("gitea.json", `npm ${name} ${version(name)}, dist/index.d.ts (generated from Gitea's description)`, GITEA, operation, GITEA_ACTIONS);
}

function write(file, source, keys, operation, more = {}) {
  const operations = { ...Object.fromEntries(keys.map((key) => [key, operation(key)])), ...more };
  writeFileSync(new URL(file, import.meta.url), `${JSON.stringify({ source, operations }, null, 1)}\n`);
}

github();
gitea();
