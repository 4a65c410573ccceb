// How values of PostgreSQL become JSON and back, where postgres.js or lite do it otherwise than Supabase.
//
// PostgREST lets PostgreSQL write the JSON, GoTrue lets Go write it. Each type below gives the same text as theirs.
import { AsyncLocalStorage } from "node:async_hooks";

/** The REST request that runs: { claims, schema, method, path, headers, cookies, readOnly }. */
export const restRequest = new AsyncLocalStorage();

// Puts a number into JSON digit by digit, which a JavaScript number cannot above 2^53. Node.js 20 has it by a flag.
const { rawJSON } = JSON;

/** A number with all its digits (1.10 and 9007199254740993 included); NaN and Infinity are strings in JSON. */
function exactNumber(text) {
  const number = Number(text);
  if (!Number.isFinite(number)) return text;
  return String(number) === text ? number : rawJSON(text);
}
const finiteNumber = (text) => (Number.isFinite(Number(text)) ? Number(text) : text);

/** PostgreSQL's ISO text as its own to_json() writes it: a T, an offset with minutes, every microsecond. */
export const postgrestTime = (text) =>
  text.replace(/^(\d{4,}-\d\d-\d\d) /, "$1T").replace(/(:\d\d(?:\.\d+)?[+-]\d\d)(?= BC$|$)/, "$1:00");

/** As Go writes it: RFC 3339 in UTC, with a Z. The sessions here are in UTC. */
export const gotrueTime = (text) => postgrestTime(text).replace(/(?:[+-]00:00)?$/, "Z");

const text = (value) => (value instanceof Date ? value.toISOString() : String(value));
const asIs = (value) => value;
const time = (parse) => ({ to: 1184, from: [1114, 1184], serialize: text, parse });
const jsonType = (to, serialize) => ({ to, from: [to], serialize, parse: JSON.parse });

/** For REST: lite hands over what the client's JSON held, so everything is JSON once more, strings included. */
export const restTypes = {
  timestamp: { to: 1114, from: [1114], serialize: text, parse: postgrestTime },
  timestamptz: time(postgrestTime),
  json: jsonType(114, JSON.stringify),
  jsonb: jsonType(3802, JSON.stringify),
  bigint: { to: 20, from: [20], serialize: String, parse: exactNumber },
  numeric: { to: 1700, from: [1700], serialize: String, parse: exactNumber },
  float: { to: 701, from: [700, 701], serialize: String, parse: finiteNumber },
  // A string means what it says; postgres.js would take each for false.
  bool: { to: 16, from: [16], serialize: String, parse: (value) => value === "t" },
  // "\x…" both ways, as in PostgREST; postgres.js would give a Buffer, which JSON cannot hold.
  bytea: {
    to: 17,
    from: [17],
    serialize: (value) => (typeof value === "string" ? value : `\\x${Buffer.from(value).toString("hex")}`),
    parse: asIs,
  },
};

/** For Auth: lite hands over JSON text already, so text stays as it is, or jsonb would hold a string of JSON. */
const jsonText = (value) => (typeof value === "string" ? value : JSON.stringify(value));
export const authTypes = {
  timestamp: { to: 1114, from: [1114], serialize: text, parse: gotrueTime },
  timestamptz: time(gotrueTime),
  json: jsonType(114, jsonText),
  jsonb: jsonType(3802, jsonText),
};

/**
 * Parameters as PostgreSQL is to see them. postgres.js by itself declares a boolean as bool and an array by its first
 * element, and then PostgreSQL refuses them for jsonb: with type 0 the server decides. And what lite casts to json in
 * the statement ($1::jsonb) is JSON text already: as text (25) it is not encoded once more.
 */
export function typedParameters(driver, text, parameters = []) {
  const jsonText = new Set([...text.matchAll(/\$(\d+)::jsonb?\b/g)].map(([, n]) => Number(n) - 1));
  return parameters.map((value, i) => {
    if (typeof value === "string") return jsonText.has(i) ? driver.typed(value, 25) : value;
    return typeof value === "boolean" || Array.isArray(value) ? driver.typed(value, 0) : value;
  });
}
