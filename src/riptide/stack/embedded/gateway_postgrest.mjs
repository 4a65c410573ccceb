// Where lite's PostgREST departs from the real one in what values and errors mean, and how that is put right.
import { isLost } from "./gateway_errors.mjs";
import { logError } from "./gateway_http.mjs";
import { restRequest } from "./gateway_types.mjs";

/**
 * PostgREST's HTTP status for an error of PostgreSQL
 * (docs.postgrest.org/en/stable/references/errors.html#http-status-codes). Longest prefix wins.
 */
const STATUS = {
  "08": 503,
  "09": 500,
  "0L": 403,
  "0P": 403,
  23503: 409,
  23505: 409,
  25: 500,
  25006: 405,
  28: 403,
  "2D": 500,
  38: 500,
  39: 500,
  "3B": 500,
  40: 500,
  53: 503,
  53400: 500,
  54: 500,
  55: 500,
  57: 500,
  58: 500,
  F0: 500,
  HV: 500,
  P0: 500,
  P0001: 400,
  XX: 500,
  42883: 404,
  "42P01": 404,
  "42P17": 500,
};

function statusOf(code, role) {
  if (code === "42501") return role === "anon" ? 401 : 403;
  return STATUS[code] ?? STATUS[code.slice(0, 2)] ?? 400;
}

// lite answers these itself: what a function asks for by RAISE (PTnnn, PGRST), and names it explains better.
const LITES_OWN = /^(?:PT|PGRST|42703|42883|42P01)/;

/**
 * lite knows a part of the codes and answers 500 "SUP" to the rest, `raise exception` among them. An error with code
 * PGRST says in its message and detail what to answer (PostgREST's own convention, which lite has): so says this one.
 */
export function postgrestError(error) {
  if (isLost(error)) return unavailable();
  if (!error?.severity || LITES_OWN.test(error.code)) return error;
  const { code, message, detail, hint } = error;
  const status = statusOf(code, restRequest.getStore()?.claims.role ?? "anon");
  if (status >= 500) logError("rest", error);
  return {
    code: "PGRST",
    message: JSON.stringify({ code, message, details: detail ?? null, hint: hint ?? null }),
    detail: JSON.stringify({ status, headers: status === 401 ? { "WWW-Authenticate": "Bearer" } : {} }),
  };
}

const unavailable = () => ({
  code: "PGRST",
  message: JSON.stringify({
    code: "PGRST001",
    message: "Database client error. Retrying the connection.",
    details: null,
    hint: null,
  }),
  detail: JSON.stringify({ status: 503, headers: {} }),
});

const isJson = (type) => type === "json" || type === "jsonb";
/** Whether lite takes the text for a number that is then written otherwise (1.10, 0x10, 9007199254740993). */
const isLossyNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text)) && String(Number(text)) !== text;

/**
 * Values of a body as PostgREST takes them. lite reads a string that is meant for a json column as JSON text and one
 * for a number column as a JavaScript number; wrapped in a parameter of the driver it reaches PostgreSQL as it is.
 */
export function keepStrings(ast, database) {
  const { driver } = database.rest;
  if (ast.type === "rpc") {
    if (ast.inputType !== "text" && ast.args && !Array.isArray(ast.args)) encodeJsonArguments(ast, database);
    return;
  }
  if (!["insert", "update", "upsert"].includes(ast.type) || !ast.values) return;
  const types = database.columnTypes(ast.schema ?? "public", ast.from);
  for (const row of [ast.values].flat()) {
    for (const [name, value] of Object.entries(row ?? {})) {
      if (typeof value === "string" && (isJson(types.get(name)) || isLossyNumber(value)))
        row[name] = driver.typed(value, 0);
    }
  }
}

/** lite gives a json argument as text, cast to json, and takes a string for such text: so a string becomes it. */
function encodeJsonArguments(ast, database) {
  const given = Object.keys(ast.args);
  const candidates = database
    .functions(ast.schema ?? "public", ast.function)
    .filter((each) => given.every((name) => each.arg_names.includes(name)));
  if (candidates.length !== 1 || ast.httpMethod !== "POST") return;
  const [{ arg_names, arg_types }] = candidates;
  for (const name of given) {
    const value = ast.args[name];
    if (typeof value === "string" && isJson(arg_types[arg_names.indexOf(name)])) ast.args[name] = JSON.stringify(value);
  }
}

/**
 * Refuses an update or a delete of every row, by whichever key: Supabase preloads safeupdate for authenticator
 * (supabase/postgres, fix-authenticator-session-preload-libraries; github.com/eradman/pg-safeupdate). Limits do not
 * count (since PostgREST 13), nor do filters on other tables. What sets nothing is no update, as in PostgREST.
 */
export function requireFilter({ type, where, values }) {
  if (type !== "update" && type !== "delete") return;
  if (Object.keys(where ?? {}).length > 0) return;
  if (type === "update" && Object.keys([values].flat()[0] ?? {}).length === 0) return;
  const message = `${type.toUpperCase()} requires a WHERE clause`;
  throw Object.assign(new Error(message), { code: "21000", severity: "ERROR" });
}

const FILTER = /^((?:not\.)?(?:eq|neq|gt|gte|lt|lte)\.)(.+)$/s;
const KEYWORD = /^(?:null|not_null|unknown)$/i;

/**
 * The URL with those values of filters in quotes that lite would otherwise change before it knows their column's type
 * (1.10 becomes 1.1, 9007199254740993 becomes …992, the text `null` becomes no value), or null where there are none.
 */
export function exactFilters(url) {
  let changed = false;
  const params = [...url.searchParams].map(([name, value]) => {
    const [, operator, operand] = FILTER.exec(value) ?? [];
    if (!operator || !(isLossyNumber(operand) || KEYWORD.test(operand))) return [name, value];
    changed = true;
    return [name, `${operator}"${operand}"`];
  });
  if (!changed) return null;
  const exact = new URL(url);
  exact.search = new URLSearchParams(params).toString();
  return exact;
}
