// The gateway's configuration: <run_dir>/gateway.json, checked, with Supabase's defaults for what is left out.
import { readFileSync } from "node:fs";
import { join } from "node:path";

export class ConfigError extends Error {}

const REQUIRED = ["jwt_secret", "publishable_key", "secret_key"];

// The same defaults as in the config.toml that `supabase init` writes.
const DEFAULTS = {
  instance: "",
  host: "127.0.0.1",
  api_port: 54321,
  anon_key: "",
  service_role_key: "",
  db: { host: "127.0.0.1", port: 54322, database: "postgres", password: "postgres" },
  api: { schemas: ["public", "graphql_public"], extra_search_path: ["public", "extensions"], max_rows: 1000 },
  auth: {
    site_url: "http://127.0.0.1:3000",
    additional_redirect_urls: [],
    jwt_expiry: 3600,
    enable_signup: true,
    minimum_password_length: 6,
    enable_anonymous_sign_ins: false,
    email: { enable_signup: true, enable_confirmations: false },
  },
};

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** `defaults` with what `given` has of them; keys that `defaults` does not have are left out. */
function fill(defaults, given, path) {
  const result = {};
  for (const [key, standard] of Object.entries(defaults)) {
    const value = given[key] ?? standard;
    const name = path ? `${path}.${key}` : key;
    const same = Array.isArray(standard) ? Array.isArray(value) : typeof value === typeof standard;
    if (!same || isObject(value) !== isObject(standard)) throw new ConfigError(`${name} has the wrong type`);
    result[key] = isObject(standard) ? fill(standard, value, name) : value;
  }
  return result;
}

/** @throws {ConfigError} with one line that says what is wrong, and no secret in it. */
export function readConfig(runDir) {
  const file = join(runDir, "gateway.json");
  let given;
  try {
    given = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    // A JSON error quotes the text around the mistake, which may be a key.
    throw new ConfigError(`${file}: ${error.code === "ENOENT" ? "no such file" : (error.code ?? "is not valid JSON")}`);
  }
  if (!isObject(given)) throw new ConfigError(`${file}: is not a JSON object`);
  for (const key of REQUIRED) {
    if (typeof given[key] !== "string" || given[key] === "") throw new ConfigError(`${file}: ${key} is missing`);
  }
  try {
    return { ...fill(DEFAULTS, given, ""), ...Object.fromEntries(REQUIRED.map((key) => [key, given[key]])) };
  } catch (error) {
    throw new ConfigError(`${file}: ${error.message}`);
  }
}
