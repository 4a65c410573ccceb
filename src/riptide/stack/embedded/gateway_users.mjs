// A user as GoTrue shows it (supabase/auth, internal/models/user.go): what is not set is left out.
import { authError } from "./gateway_http.mjs";

const MAX_PASSWORD = 72; // bytes: bcrypt drops the rest

/** GoTrue's len() counts bytes too, whatever its message says. */
export const isTooLong = (password) => Buffer.byteLength(password) > MAX_PASSWORD;
export const passwordTooLong = () =>
  authError(400, "validation_failed", `Password cannot be longer than ${MAX_PASSWORD} characters`);

const OPTIONAL = [
  "email_confirmed_at",
  "invited_at",
  "phone_confirmed_at",
  "confirmation_sent_at",
  "confirmed_at",
  "recovery_sent_at",
  "email_change_sent_at",
  "phone_change_sent_at",
  "reauthentication_sent_at",
  "last_sign_in_at",
  "banned_until",
  "deleted_at",
];

const identity = (row) => ({
  identity_id: row.id,
  id: row.provider_id,
  user_id: row.user_id,
  identity_data: row.identity_data,
  provider: row.provider,
  last_sign_in_at: row.last_sign_in_at,
  created_at: row.created_at,
  updated_at: row.updated_at,
  ...(row.email ? { email: row.email } : {}),
});

const user = (row, identities) => ({
  id: row.id,
  aud: row.aud ?? "",
  role: row.role ?? "",
  email: row.email ?? "",
  phone: row.phone ?? "",
  ...Object.fromEntries(OPTIONAL.filter((name) => row[name]).map((name) => [name, row[name]])),
  ...(row.email_change ? { new_email: row.email_change } : {}),
  ...(row.phone_change ? { new_phone: row.phone_change } : {}),
  app_metadata: row.raw_app_meta_data ?? {},
  user_metadata: row.raw_user_meta_data ?? {},
  identities: identities.map(identity),
  created_at: row.created_at,
  updated_at: row.updated_at,
  is_anonymous: row.is_anonymous,
});

export async function withIdentities(sql, rows) {
  if (rows.length === 0) return [];
  const identities = await sql`select * from auth.identities
    where user_id in ${sql(rows.map((row) => row.id))} order by created_at`;
  return rows.map((row) =>
    user(
      row,
      identities.filter((each) => each.user_id === row.id),
    ),
  );
}

/** The user, or undefined. */
export async function findUser(sql, id) {
  return (await withIdentities(sql, await sql`select * from auth.users where id = ${id}`))[0];
}
