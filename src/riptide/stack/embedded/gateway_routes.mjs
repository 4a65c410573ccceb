// Which part answers a request, after the checks of Supabase's gateway (supabase/cli, templates/kong.yml).
import { createAuth } from "./gateway_auth.mjs";
import { isLost } from "./gateway_errors.mjs";
import { authError, json, logError, preflight, restError, withCors } from "./gateway_http.mjs";
import { Keys } from "./gateway_keys.mjs";
import { createRest } from "./gateway_rest.mjs";

// Open without a key, as in Kong: a browser comes here from a mail or from another site.
const OPEN = /^\/auth\/v1\/(?:verify|callback|authorize|\.well-known\/[^/]+)$/;
const ABSENT = /^\/(storage|realtime|functions|graphql|pg)(?:\/|$)/;

export function createRoutes(config, database) {
  const keys = new Keys(config);
  const rest = createRest(config, database, keys);
  const auth = createAuth(config, database, keys);

  async function health() {
    const body = { instance: config.instance, pid: process.pid };
    try {
      await database.ping();
      return json({ status: "ok", ...body });
    } catch {
      return json({ status: "no database", ...body }, 503);
    }
  }

  async function answer(request, url) {
    const { pathname } = url;
    if (pathname === "/_riptide/health") return health();
    const absent = ABSENT.exec(pathname)?.[1];
    if (absent) {
      const message = `the embedded stack does not have ${absent}: use the Docker backend`;
      return json({ code: "not_implemented", message }, 501);
    }
    const isRest = /^\/rest\/v1(?:\/|$)/.test(pathname);
    if (!isRest && !/^\/auth\/v1(?:\/|$)/.test(pathname))
      return json({ message: "no Route matched with those values" }, 404);
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method")) return preflight(request);
    let role = "anon";
    if (!OPEN.test(pathname)) {
      const key = keys.apiKey(request, url);
      if (key.refusal) return json(key.refusal, 401, { "sb-error-code": key.code });
      role = key.role;
    }
    try {
      return await (isRest ? rest : auth)(request, url, role);
    } catch (error) {
      if (!isLost(error)) throw error;
      return isRest
        ? restError(503, "PGRST001", "Database client error. Retrying the connection.")
        : authError(503, "unexpected_failure", "Database is not reachable");
    }
  }

  return async function handle(request) {
    try {
      const response = await answer(request, new URL(request.url));
      return withCors(response);
    } catch (error) {
      logError("request", error);
      return withCors(json({ message: "An unexpected error occurred" }, 500));
    }
  };
}
