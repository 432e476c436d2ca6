/** A time by this host's clock. Milliseconds since 1970. */
export type Time = number;

/** This host's clock. It can be set, and it advances while the host sleeps. */
export type Clock = () => Time;

/** A time by a clock that cannot be set, comparable only with other such times. Milliseconds. */
export type Moment = number;

/** A clock that cannot be set. It stands still while the host sleeps. */
export type MonotonicClock = () => Moment;

/** This process's clock, the default wherever a clock is a parameter. */
export const monotonicClock: MonotonicClock = () => performance.now();
