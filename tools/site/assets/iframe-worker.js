// Pages opened from a disk may start no worker, which the search runs in: there, an invisible frame takes its place.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.appendChild(frame)
      const inside = frame.contentWindow
      const load = src => new Promise(resolve => {
        const script = inside.document.createElement("script")
        script.src = src
        script.onload = script.onerror = resolve
        inside.document.body.appendChild(script)
      })
      inside.importScripts = (...urls) => urls.reduce((done, src) => done.then(() => load(src)), Promise.resolve())
      inside.postMessage = data => {
        const event = new MessageEvent("message", { data })
        this.dispatchEvent(event)
        if (this.onmessage) this.onmessage(event)
      }
      this.inside = inside
      this.ready = load(new URL(url, location.href).href)
    }
    postMessage(data) {
      this.ready = this.ready.then(() => {
        const event = new MessageEvent("message", { data })
        this.inside.dispatchEvent(event)
      })
    }
    terminate() {}
  }
  window.Worker = window.IFrameWorker
}
