/**
 * How the descriptors that lead to the host are found, and how standard input and output are taken away from
 * the rest of the process where they are the channel.
 */
/** Where what the host sends comes from, and where what is sent to it goes. */
export interface Descriptors {
    readonly input: number;
    readonly output: number;
}
/** There is no host: a person started the program. */
export declare class NoHost extends Error {
}
/**
 * The descriptors that the host gave this process. Given once in a process.
 *
 * @throws NoHost with a sentence where there are none.
 */
export declare function openDescriptors(): Descriptors;
/**
 * Takes standard input and output early where a host gave them as the channel, so that nothing is printed
 * into it before the module runs. Without a host, nothing is done.
 */
export declare function protectStandard(): void;
