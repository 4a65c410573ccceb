// What it looks like when the database cannot be reached.

/** The database cannot be reached just now. */
export class Unavailable extends Error {}

// Codes of Node.js, of postgres.js (CONNECT…, CONNECTION_…) and of PostgreSQL while it shuts down or starts, has too
// many clients (53300) or lacks the database (3D000: dropped, about to be made again).
const LOST = /^(?:ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|CONNECT|57P0|3D000|08|53300)/;
export const isLost = (error) => LOST.test(error?.code ?? "") || error instanceof Unavailable;
