// API keys and JSON Web Tokens: who a request is from.
import { createHmac, timingSafeEqual } from "node:crypto";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** In a time that does not tell how much of them is equal. */
function sameText(a, b) {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Why a token was refused; `reason` is one of: malformed, signature, expired, not_yet_valid. */
export class TokenError extends Error {
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

const CLOCK_SKEW_S = 30; // as PostgREST allows

/** The claims of a token that `secret` signed. HS256 only, as a local stack's: never the algorithm a token asks for. */
export function verifyToken(token, secret, now = Date.now() / 1000) {
  const parts = token.split(".");
  if (parts.length !== 3) throw new TokenError("malformed", `Expected 3 parts in JWT; got ${parts.length}`);
  const [head, body, signature] = parts;
  let header;
  let claims;
  try {
    header = JSON.parse(Buffer.from(head, "base64url").toString());
    claims = JSON.parse(Buffer.from(body, "base64url").toString());
  } catch {
    throw new TokenError("malformed", "JWT cryptographic operation failed");
  }
  const expected = createHmac("sha256", secret).update(`${head}.${body}`).digest("base64url");
  if (header?.alg !== "HS256" || !sameText(signature, expected)) {
    throw new TokenError("signature", "No suitable key or wrong key type");
  }
  if (typeof claims !== "object" || claims === null) throw new TokenError("malformed", "Parsing claims failed");
  if (typeof claims.exp === "number" && claims.exp + CLOCK_SKEW_S <= now)
    throw new TokenError("expired", "JWT expired");
  if (typeof claims.nbf === "number" && claims.nbf - CLOCK_SKEW_S > now) {
    throw new TokenError("not_yet_valid", "JWT not yet valid");
  }
  return claims;
}

export function signToken(claims, secret) {
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** What Kong puts in the place of an opaque key: the claims of the legacy one. */
const claimsOf = (role) => ({ iss: "supabase-demo", role, exp: 1983812996 });

export class Keys {
  #roles;
  #secret;

  constructor(config) {
    this.#secret = config.jwt_secret;
    this.#roles = new Map([
      [config.publishable_key, "anon"],
      [config.secret_key, "service_role"],
      ...(config.anon_key ? [[config.anon_key, "anon"]] : []),
      ...(config.service_role_key ? [[config.service_role_key, "service_role"]] : []),
    ]);
  }

  /**
   * The role of the API key of a request, or the 401 that Supabase's gateway answers without one
   * (supabase.com/docs/guides/api/api-keys).
   */
  apiKey(request, url) {
    const key = request.headers.get("apikey") ?? url.searchParams.get("apikey");
    if (!key) {
      return {
        refusal: {
          message: "No API key found in request",
          hint: "No `apikey` request header or url param was found.",
        },
        code: "UNAUTHORIZED_MISSING_API_KEY",
      };
    }
    const role = this.#roles.get(key);
    if (!role) {
      return {
        refusal: { message: "Invalid API key", hint: "Double check your Supabase `anon` or `service_role` API key." },
        code: "UNAUTHORIZED_INVALID_API_KEY",
      };
    }
    // A secret key in a web page is a leak, and hosted projects refuse it too.
    if (key.startsWith("sb_secret_") && /^\s*Mozilla\/5\.0/i.test(request.headers.get("user-agent") ?? "")) {
      return {
        refusal: { message: "Forbidden use of secret API key in browser" },
        code: "UNAUTHORIZED_INVALID_API_KEY_TYPE",
      };
    }
    return { role };
  }

  /** The bearer token of a request if it is a JWT; an API key in its place, as supabase-py sends, is none. */
  bearer(request) {
    const token = /^Bearer\s+(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1].trim();
    return token && !token.startsWith("sb_") ? token : null;
  }

  /** Whose claims a request has: its token's, else its API key's. */
  claims(request, role) {
    const token = this.bearer(request);
    return token ? verifyToken(token, this.#secret) : claimsOf(role);
  }
}
