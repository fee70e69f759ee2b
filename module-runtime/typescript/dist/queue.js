/** A queue of which the first goes out in constant time. */
export class Queue {
    #items = [];
    #head = 0;
    push(item) {
        this.#items.push(item);
    }
    get first() {
        return this.#items[this.#head];
    }
    shift() {
        this.#items[this.#head] = undefined;
        this.#head += 1;
        if (this.#head === this.#items.length) {
            // Mostly there is only one, and its place is used again.
            this.#items.length = 0;
            this.#head = 0;
        }
        else if (this.#head > 64 && this.#head * 2 > this.#items.length) {
            // The memory of what went out is given back once that is the greater part.
            this.#items = this.#items.slice(this.#head);
            this.#head = 0;
        }
    }
    find(wanted) {
        return this.#items.slice(this.#head).find((item) => item !== undefined && wanted(item));
    }
}
