/** A queue of which the first goes out in constant time. */
export declare class Queue<T> {
    #private;
    push(item: T): void;
    get first(): T | undefined;
    shift(): void;
    find(wanted: (item: T) => boolean): T | undefined;
}
