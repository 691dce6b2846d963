/** Why the hub cannot start until a person has done something; the message says what. One line. */
export class StartError extends Error {}
