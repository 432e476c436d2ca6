/** A time by this host's clock. Milliseconds since 1970. */
export type Time = number;

/** This host's clock. It can be set, and goes on while the host sleeps. */
export type Clock = () => Time;

/** A time by a clock that nobody sets, to be compared with others of it alone. Milliseconds. */
export type Moment = number;

/** A clock that nobody sets. It stands still while the host sleeps. */
export type MonotonicClock = () => Moment;

/** This process's own, and the default wherever one can be passed. */
export const monotonicClock: MonotonicClock = () => performance.now();
