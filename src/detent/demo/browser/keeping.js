// Where the app keeps its tokens: in memory or in localStorage, as the person chose. Beside them stands what it knows
// of the family of its refresh token, which the token itself does not tell.

const PLACE = "detent-demo.place";
const FAMILY = "detent-demo.family";
const NEW = { generation: 1, former: null, dead: null };

export class Keeping {
  #memory = new oidc.InMemoryWebStorage();

  get place() {
    return localStorage.getItem(PLACE) === "local" ? "local" : "memory";
  }

  // Everything moves along, so that nothing stays where it should not be.
  set place(place) {
    const from = this.#storage;
    localStorage.setItem(PLACE, place);
    if (from === this.#storage) return;
    const names = Array.from({ length: from.length }, (_, index) => from.key(index)).filter(isOurs);
    for (const name of names) {
      this.setItem(name, from.getItem(name));
      from.removeItem(name);
    }
  }

  get family() {
    return JSON.parse(this.getItem(FAMILY)) ?? NEW;
  }

  begin() {
    this.setItem(FAMILY, JSON.stringify(NEW));
  }

  turn(former) {
    this.setItem(FAMILY, JSON.stringify({ ...NEW, generation: this.family.generation + 1, former }));
  }

  bury(why) {
    this.setItem(FAMILY, JSON.stringify({ ...this.family, dead: why }));
  }

  forget() {
    this.removeItem(FAMILY);
  }

  // What oidc-client-ts needs of a Storage.
  getItem(name) {
    return this.#storage.getItem(name);
  }
  setItem(name, value) {
    this.#storage.setItem(name, value);
  }
  removeItem(name) {
    this.#storage.removeItem(name);
  }
  key(index) {
    return this.#storage.key(index);
  }
  get length() {
    return this.#storage.length;
  }

  get #storage() {
    return this.place === "local" ? localStorage : this.#memory;
  }
}

export function isOurs(name) {
  return name !== PLACE && (name.startsWith("oidc.") || name.startsWith("detent-demo."));
}
