// /rest/v1: lite's PostgREST, with the role, the claims and the settings of each request as PostgREST has them.
import { unescape } from "node:querystring";
import { App } from "@supabase/lite";
import { restError } from "./gateway_http.mjs";
import { TokenError } from "./gateway_keys.mjs";
import { exactFilters } from "./gateway_postgrest.mjs";
import { restRequest } from "./gateway_types.mjs";

const WRITES = new Set(["POST", "PUT", "PATCH", "DELETE"]);

export function createRest(config, database, keys) {
  const { schemas, extra_search_path, max_rows } = config.api;
  const app = new App({
    connection: database.rest,
    api: { enabled: true, schemas, extra_search_path, max_rows },
    auth: { enabled: false },
    db: { migrations: { enabled: false } },
    studio: { enabled: false },
    options: {
      server: {
        admin: false,
        // The gateway has checked the key and the token: lite takes the claims from there and looks at neither.
        apiKeys: false,
        disableStudio: true,
        middlewares: [
          (context, next) => {
            const { claims } = restRequest.getStore();
            context.set("ignoreAuthorization", true);
            context.set("apiKeyType", claims.role === "service_role" ? "secret" : "publishable");
            context.set("jwt", claims);
            if (typeof claims.sub === "string") context.set("userId", claims.sub);
            return next();
          },
        ],
      },
    },
  });

  return async function rest(request, url, role) {
    let claims;
    try {
      claims = keys.claims(request, role);
    } catch (error) {
      return refuse(error);
    }
    await database.current();
    const mended = decodable(url);
    const path = url.pathname.slice("/rest/v1".length) || "/";
    const headers = Object.fromEntries(request.headers);
    const schema = (WRITES.has(request.method) ? headers["content-profile"] : headers["accept-profile"]) ?? schemas[0];
    const rpc = /^\/rpc\/([^/]+)$/.exec(path)?.[1];
    const store = {
      claims: { ...claims, role: claims.role ?? "anon" },
      schema,
      method: request.method,
      path,
      headers,
      cookies: parseCookies(headers.cookie),
      readOnly:
        !WRITES.has(request.method) ||
        (rpc !== undefined && isReadOnly(database.functions(schema, unescape(rpc)))),
    };
    const exact = rpc === undefined ? exactFilters(url) : null;
    return restRequest.run(store, () => app.fetch(exact ?? mended ? new Request(exact ?? url, request) : request));
  };
}

/**
 * Makes a path that is not percent-encoded UTF-8 one that is, with U+FFFD where it is not, as PostgREST reads it: a name
 * of nothing. lite would fail.
 *
 * @returns whether there was need to
 */
function decodable(url) {
  try {
    decodeURIComponent(url.pathname);
    return false;
  } catch {
    const parts = url.pathname.split("/");
    url.pathname = parts.map((each) => encodeURIComponent(unescape(each))).join("/");
    return true;
  }
}

/** PostgREST runs a function that cannot write (stable, immutable) in a read-only transaction. */
const isReadOnly = (functions) => functions.length > 0 && functions.every((each) => each.volatility !== "v");

const parseCookies = (header) =>
  Object.fromEntries(
    (header ?? "")
      .split(";")
      .map((each) => each.trim().split(/=(.*)/s, 2))
      .filter(([name]) => name),
  );

/** docs.postgrest.org/en/stable/references/errors.html: PGRST301 for what is no token of ours, 303 for its claims. */
function refuse(error) {
  if (!(error instanceof TokenError)) throw error;
  const claims = error.reason === "expired" || error.reason === "not_yet_valid";
  return restError(401, claims ? "PGRST303" : "PGRST301", error.message, {
    headers: { "www-authenticate": `Bearer error="invalid_token", error_description="${error.message}"` },
  });
}
