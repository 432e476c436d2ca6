/** A UDP socket whose datagrams are requests, some with an answer. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { parseAddress, type Address } from "../../login/address.ts";
import { endpointName, type PortEndpoint } from "../../config/config.ts";
import { withDeadline } from "../../lib/deadline.ts";
import { ConfigError, reasonOf } from "../../lib/errors.ts";
import { patiently } from "./endpoint.ts";
import { listening } from "./listening.ts";

/** The most datagrams in progress; more are dropped, and their senders try again. */
const IN_HAND = 1_000;

/** The longest datagram, in bytes: a call with the longest credentials is shorter. */
const DATAGRAM_BYTES = 1_024;

/**
 * The least number of bytes that the kernel charges a datagram to the receive buffer, however short
 * it is.
 */
const LEAST_BYTES = 512;

/** The answer to a datagram; undefined: none. */
export type AnswerDatagram = (datagram: Buffer, sender: Address) => Promise<Buffer | undefined>;

/** A port to be bound, or a socket that systemd has bound. */
export type DatagramPlace = PortEndpoint | { readonly name: string; readonly fd: number };

export class Datagrams {
  /** For people: host:port, or the name of a socket that was handed over. */
  readonly where: string;
  readonly #socket: Socket;
  readonly #onDropped: (why: string) => void;
  #answer: AnswerDatagram | undefined;
  /** Datagrams that arrived before {@link start}. */
  #early: (readonly [Buffer, RemoteInfo])[] = [];
  #came = 0;
  #isOpen = true;
  readonly #inHand = new Set<Promise<void>>();

  /**
   * Binds the socket; datagrams wait until {@link start}.
   *
   * @param patience how long to wait for another daemon to release the port, in milliseconds
   * @param onDropped called with the reason why a datagram, or an answer, was dropped
   * @throws PopbsmtpError (73, 77) if it cannot be bound
   */
  static async bind(
    place: DatagramPlace,
    patience: number,
    onDropped: (why: string) => void,
  ): Promise<Datagrams> {
    const where = "fd" in place ? place.name : endpointName(place);
    const socket = await patiently(patience, async () => {
      const made = createSocket(isIPv6("host" in place ? place.host : "") ? "udp6" : "udp4");
      // first: with a descriptor, it listens at once
      const bound = listening(made, where);
      if ("fd" in place) takeOver(made, place);
      else made.bind({ address: place.host, port: place.port });
      await bound;
      return made;
    });
    return new Datagrams(socket, where, onDropped);
  }

  private constructor(socket: Socket, where: string, onDropped: (why: string) => void) {
    this.where = where;
    this.#socket = socket;
    this.#onDropped = onDropped;
    socket.on("message", (datagram, sender) => this.#receive(datagram, sender));
    socket.on("error", ({ message }) => onDropped(message));
  }

  /** The address and port that are bound. */
  get place(): PortEndpoint {
    const { address, port } = this.#socket.address();
    return { host: address, port };
  }

  /** Answers datagrams from now on, waiting ones first. */
  start(answer: AnswerDatagram): void {
    this.#answer = answer;
    for (const [datagram, sender] of this.#early) this.#receive(datagram, sender);
    this.#early = [];
  }

  /**
   * Answers the datagrams that have arrived, and closes the socket, after `patience` milliseconds
   * in any case.
   */
  async close(patience: number): Promise<void> {
    const end = performance.now() + patience;
    // senders may have been told that these datagrams arrived. In a flood the socket never falls
    // quiet, so this stops after as many as the receive buffer could hold
    const most = this.#came + this.#socket.getRecvBufferSize() / LEAST_BYTES;
    for (let came = -1; came < this.#came && came < most && performance.now() < end;) {
      came = this.#came;
      await turn();
    }
    this.#socket.removeAllListeners("message");
    await withDeadline(Promise.all(this.#inHand), end - performance.now(), () => undefined);
    this.#isOpen = false;
    this.#socket.close();
  }

  #receive(datagram: Buffer, sender: RemoteInfo): void {
    this.#came++;
    if (datagram.length > DATAGRAM_BYTES) {
      this.#onDropped(`longer than ${DATAGRAM_BYTES} bytes`);
      return;
    }
    if (this.#inHand.size + this.#early.length >= IN_HAND) {
      this.#onDropped(`${IN_HAND} are already being processed`);
      return;
    }
    if (this.#answer === undefined) {
      this.#early.push([datagram, sender]);
      return;
    }
    const address = parseAddress(sender.address);
    if (address === undefined) return;
    const answering = this.#answer(datagram, address)
      .then((answer) => answer && this.#send(answer, sender))
      .catch((error: unknown) => this.#onDropped(reasonOf(error)))
      .finally(() => this.#inHand.delete(answering));
    this.#inHand.add(answering);
  }

  /**
   * Resolves when the kernel has accepted or refused the answer: a sender without one tries again.
   */
  #send(answer: Buffer, { port, address }: RemoteInfo): Promise<void> | undefined {
    // too late; or the sender claims port 0, which no socket has
    if (!this.#isOpen || port === 0) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.send(answer, port, address, (error) => {
      if (error) this.#onDropped(error.message);
      resolve();
    });
    return promise;
  }
}

function takeOver(
  socket: Socket,
  { name, fd }: { readonly name: string; readonly fd: number },
): void {
  try {
    socket.bind({ fd });
  } catch (cause) {
    throw new ConfigError([`${name}: no datagram socket was passed; expected ListenDatagram=`], {
      cause,
    });
  }
}
