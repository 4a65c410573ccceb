// Small parts of HTTP that every route uses: JSON answers, CORS as Supabase's gateway has it, and the access log.

/** A JSON answer; `headers` beside the content type. */
export const json = (body, status = 200, headers = undefined) => Response.json(body, { status, headers });

/** An error of Auth in GoTrue's shape. */
export const authError = (status, error_code, msg, more = undefined) =>
  json({ code: status, error_code, msg, ...more }, status, { "x-sb-error-code": error_code });

/** An error of REST in PostgREST's shape. */
export const restError = (status, code, message, { details = null, hint = null, headers } = {}) =>
  json({ code, details, hint, message }, status, headers);

// As the cors plugin of the local stack's Kong (supabase/cli, pkg/config/templates): any origin, any header asked for.
const METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT";
const EXPOSED =
  "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Link, Location, " +
  "Preference-Applied, X-Sb-Error-Code, X-Supabase-Api-Version, X-Total-Count";

export function preflight(request) {
  return new Response(null, {
    status: 200,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers": request.headers.get("access-control-request-headers") ?? "",
      "access-control-max-age": "3600",
    },
  });
}

export function withCors(response) {
  response.headers.set("access-control-allow-origin", "*");
  response.headers.set("access-control-expose-headers", EXPOSED);
  return response;
}

// A path holds no secret in any documented call, but a mistaken one can (a key pasted where a table belongs).
const SECRET_SEGMENT = /sb_(?:secret|publishable)_[^/]*|eyJ[^/]*|[^/]*(?:@|%40)[^/]*/g;

/** One line for one request; never its query, headers or body. */
export function logRequest(incoming, outgoing, started) {
  const path = incoming.url.split(/[?#]/, 1)[0].replace(SECRET_SEGMENT, "***").slice(0, 200);
  const ms = (performance.now() - started).toFixed(1);
  process.stdout.write(`${incoming.method} ${path} ${outgoing.statusCode} ${ms} ms\n`);
}

/**
 * What may be said of an error in the log. PostgreSQL's own text quotes values (an email in a unique violation, a
 * password in a type error), so only its code and where it came from are kept.
 */
export function describe(error) {
  if (!(error instanceof Error)) return typeof error === "string" ? error : typeof error;
  if (error.severity) return `PostgreSQL ${error.code} ${[error.table_name, error.routine].filter(Boolean).join(" ")}`;
  const code = error.code ? `${error.code} ` : "";
  return `${code}${error.stack ?? error.message}`;
}

export const logError = (what, error) => process.stderr.write(`${what}: ${describe(error)}\n`);
